"""What the monitor has counted since its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """Counts and last values; of constant size."""

    began: datetime
    rate_hz: int
    position: int = 0  # samples of the stream so far, gaps included
    windows: int = 0  # scored
    skipped_windows: int = 0
    alarms: int = 0
    gaps: int = 0
    lost_samples: int = 0
    busy_s: float = 0.0  # scoring
    score: float | None = None  # the last
    max_score: float | None = None
    levels_dbfs: dict[str, float] = field(default_factory=dict)
    audio_at_s: float | None = None  # monotonic clock
    score_at_s: float | None = None  # monotonic clock

    @property
    def seconds(self) -> float:
        """Length of the stream so far."""
        return self.position / self.rate_hz

    @property
    def lost_s(self) -> float:
        """How much of it is missing, as far as it is known."""
        return self.lost_samples / self.rate_hz

    def scored(self, score: float, busy_s: float, levels_dbfs: dict[str, float]) -> None:
        """Count a window."""
        self.windows += 1
        self.busy_s += busy_s
        self.score = score
        self.max_score = score if self.max_score is None else max(self.max_score, score)
        self.levels_dbfs = levels_dbfs
