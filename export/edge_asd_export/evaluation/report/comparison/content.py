"""What a report of a comparison is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge_asd_export.evaluation.compare import Average, Comparison, ScoredBundle, averages
from edge_asd_export.evaluation.published import Beside

__all__ = ["ComparisonReport"]


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """One comparison, with everything that its report shows."""

    comparison: Comparison
    bundles: tuple[ScoredBundle, ...]
    data: tuple[Path, ...]
    created_utc: str  # of the report
    versions: dict[str, str]  # programs and libraries that measured
    beside: Beside = field(default_factory=Beside)
    repeated: bool = False  # rows of one kind are repetitions; show their mean too
    warnings: tuple[str, ...] = ()  # of what is left out

    @property
    def averages(self) -> tuple[Average, ...]:
        """Means over bundles, where that was asked for."""
        return averages(self.comparison.rows) if self.repeated else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before quoting the figures."""
        beside = (self.beside.note,) if self.beside.note else ()
        return beside + self.warnings + self._tuned_with_labels()

    def _tuned_with_labels(self) -> tuple[str, ...]:
        """Fusion weights that saw labels: perhaps the very labels of this comparison."""
        tuned: dict[str, list[str]] = {}
        for row in self.comparison.rows:
            for labels in row.labels:
                tuned.setdefault(labels, []).append(f"{row.system} of {row.bundle}")
        return tuple(
            f"the weights of {', '.join(rows)} were chosen with labels ({labels}); if these are "
            "the clips compared here, their figures are optimistic"
            for labels, rows in tuned.items()
        )
