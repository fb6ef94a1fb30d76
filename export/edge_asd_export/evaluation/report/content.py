"""What a report is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from edge_asd import __version__
from edge_asd_export.evaluation.compare import Average, Comparison, SystemRow, averages
from edge_asd_export.evaluation.contained_systems import labels_of
from edge_asd_export.evaluation.evaluate import Evaluation
from edge_asd_export.evaluation.published import Beside, PublishedSystem, published_for
from edge_asd_export.evaluation.score_clips import ScoredBundle
from edge_asd_export.evaluation.test_sets import MachineTestSet

__all__ = ["ComparisonReport", "EvaluationReport", "MeasuredBundles", "bundles_json"]


def _now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _measured_with() -> dict[str, str]:
    """Versions of the program and of the libraries that the figures depend on."""
    return {
        "edge-asd": __version__,
        "python": python_version(),
        **{name: version(name) for name in ("numpy", "onnxruntime", "scikit-learn")},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBundles:
    """Bundles whose test clips are scored, and how they were measured."""

    bundles: tuple[ScoredBundle, ...]
    data: tuple[Path, ...]
    warnings: tuple[str, ...] = ()  # of what is left out
    created_utc: str = field(default_factory=_now_utc)
    versions: dict[str, str] = field(default_factory=_measured_with)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport(MeasuredBundles):
    """The figures of one bundle and of each of its branches."""

    test_sets: tuple[MachineTestSet, ...]
    evaluation: Evaluation

    @property
    def bundle(self) -> ScoredBundle:
        return self.bundles[0]

    @property
    def published(self) -> tuple[PublishedSystem, ...]:
        """The published systems, where one of the machines has a published name."""
        return published_for(machine.machine for machine in self.evaluation.machines)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before quoting the figures."""
        unmeasured: dict[str, list[str]] = {}
        for machine in self.evaluation.machines:
            if machine.skipped:
                unmeasured.setdefault(machine.skipped, []).append(repr(machine.machine))
        skipped = tuple(
            f"machine{'s' * (len(names) > 1)} {', '.join(names)} "
            f"ha{'ve' if len(names) > 1 else 's'} scores but no metrics: {why}"
            for why, names in unmeasured.items()
        )
        manifest = self.bundle.manifest
        of = f"{manifest.system} of {self.bundle.name}"
        tuned = {
            labels: of
            for machine in self.evaluation.machines
            for labels in labels_of(manifest.machines[machine.machine].fusion)
        }
        return self.warnings + skipped + _tuned_with_labels(tuned.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonReport(MeasuredBundles):
    """The figures of every system in some bundles."""

    comparison: Comparison
    beside: Beside = field(default_factory=Beside)
    repeated: bool = False  # rows of one kind are repetitions; show their mean too

    @property
    def rows(self) -> tuple[SystemRow | Average, ...]:
        """Every system of every bundle, then means over bundles where that was asked for."""
        rows = self.comparison.rows
        return (*rows, *averages(rows)) if self.repeated else rows

    def published_totals(self, system: str) -> tuple[list[float], list[float]]:
        """Totals of a system by publication: as stated, and recomputed from its rows.

        Stated totals are of all published machines and stand beside no fewer.
        """
        names = [machine.machine for machine in self.comparison.machines]
        published = self.beside.named(system)
        stated = [one.official for one in published] if self.beside.all_machines else []
        recomputed = (one.recomputed_over(names) for one in published)
        return stated, [value for value in recomputed if value is not None]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before quoting the figures."""
        beside = (self.beside.note,) if self.beside.note else ()
        tuned = (
            (labels, f"{row.kind.system} of {row.bundle}")
            for row in self.comparison.rows
            for labels in row.labels
        )
        return beside + self.warnings + _tuned_with_labels(tuned)


def bundles_json(bundles: Iterable[ScoredBundle]) -> dict[str, dict[str, object]]:
    """What bundles are, by name, ready for ``json.dumps``."""
    facts = {"name", "system", "target", "created_utc", "tools"}
    return {
        bundle.name: {
            "path": str(bundle.path),
            **bundle.manifest.model_dump(mode="json", include=facts),
        }
        for bundle in bundles
    }


def _tuned_with_labels(tuned: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Notes on labels that chose fusion weights: perhaps the very labels of the test clips."""
    systems: dict[str, list[str]] = {}
    for labels, system in tuned:
        systems.setdefault(labels, []).append(system)
    return tuple(
        f"the weights of {', '.join(of)} were chosen with labels ({labels}); if these are the "
        "clips measured here, their figures are optimistic"
        for labels, of in systems.items()
    )
