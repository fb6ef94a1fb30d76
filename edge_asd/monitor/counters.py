"""What the monitor has counted since its start."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """Counts and last values; of constant size."""

    windows: int = 0  # scored
    skipped_windows: int = 0
    alarms: int = 0
    gaps: int = 0
    lost_samples: int = 0
    busy_s: float = 0.0  # scoring
    score: float | None = None  # the last
    max_score: float | None = None
    levels_dbfs: dict[str, float] = field(default_factory=dict)  # of the last window
    score_at_s: float | None = None  # monotonic clock

    def scored(
        self, score: float, busy_s: float, levels_dbfs: dict[str, float], *, at_s: float
    ) -> None:
        """Count a window; `at_s` by the monotonic clock."""
        self.windows += 1
        self.busy_s += busy_s
        self.score = score
        self.max_score = score if self.max_score is None else max(self.max_score, score)
        self.levels_dbfs = levels_dbfs
        self.score_at_s = at_s
