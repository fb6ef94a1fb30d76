"""What a report is about."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from edge_asd import __version__
from edge_asd.bundle.manifest import Manifest
from edge_asd_export.evaluation.contained_systems import labels_of
from edge_asd_export.evaluation.evaluate import Evaluation, ScoredClips
from edge_asd_export.evaluation.score_clips import MachineTestSet

__all__ = ["Report", "measured_with"]


@dataclass(frozen=True, slots=True)
class Report:
    """One evaluation of one bundle, with everything that its report shows."""

    bundle: Path
    manifest: Manifest
    data: tuple[Path, ...]
    created_utc: str  # of the report
    versions: dict[str, str]  # programs and libraries that measured
    test_sets: tuple[MachineTestSet, ...]
    scored: tuple[ScoredClips, ...]  # beside `test_sets`
    evaluation: Evaluation
    warnings: tuple[str, ...] = ()  # of what could not be scored

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before quoting the figures."""
        skipped = tuple(
            f"machine {machine.machine!r} has scores but no metrics: {machine.skipped}"
            for machine in self.evaluation.machines
            if machine.skipped
        )
        return self.warnings + skipped + self._tuned_with_labels()

    def _tuned_with_labels(self) -> tuple[str, ...]:
        """Fusion weights that saw labels: perhaps the very labels of this evaluation."""
        labels = {
            labels: None
            for machine in self.evaluation.machines
            for labels in labels_of(self.manifest.machines[machine.machine].fusion)
        }
        return tuple(
            f"the fusion weights were chosen with labels ({used}); if these are the clips "
            f"evaluated here, the fused figures are optimistic"
            for used in labels
        )


def measured_with() -> dict[str, str]:
    """What measures: this program and the libraries that the figures depend on."""
    return {
        "edge-asd": __version__,
        "python": python_version(),
        **{name: version(name) for name in ("numpy", "onnxruntime", "scikit-learn")},
    }
