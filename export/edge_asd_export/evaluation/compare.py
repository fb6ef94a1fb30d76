"""Systems of several bundles beside each other, from the same scores of the same clips.

Every bundle is scored once, branch by branch. The scores of each system that it holds, and
of each of their ablations, are sums of those
(:mod:`edge_asd_export.evaluation.contained_systems`): a sum of mean scores
over windows is the mean of the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_asd.bundle.manifest import Manifest
from edge_asd.bundle.system import SYSTEMS
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse
from edge_asd_export.evaluation.contained_systems import (
    Ablation,
    Fusions,
    ablations,
    labels_of,
    networks_of,
    precision_of,
    systems_present,
)
from edge_asd_export.evaluation.evaluate import (
    Evaluation,
    Figures,
    MachineEvaluation,
    Official,
    ScoredClips,
    evaluate_scores,
)

__all__ = [
    "AblationRow",
    "Average",
    "Comparison",
    "Difference",
    "ScoredBundle",
    "Spread",
    "SystemRow",
    "averages",
    "compare",
    "has_repetitions",
]


@dataclass(frozen=True, slots=True)
class ScoredBundle:
    """The test clips of all compared machines, as one bundle scores them."""

    name: str  # tells it from the other bundles
    path: Path
    manifest: Manifest
    machines: tuple[ScoredClips, ...]


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One system as one bundle holds it."""

    bundle: str
    system: str
    networks: tuple[str, ...]  # what was trained, such as "beats-mini"
    precision: str
    is_whole: bool  # the bundle was made for this system, not for a larger one
    labels: tuple[str, ...]  # which labels chose its weights; empty: none did
    figures: Mapping[str, Figures]  # by machine
    official: Official

    @property
    def kind(self) -> tuple[str, tuple[str, ...], str]:
        """What rows have in common that may be repetitions of each other."""
        return self.system, self.networks, self.precision


@dataclass(frozen=True, slots=True)
class AblationRow:
    """Some models and microphones of one system of one bundle."""

    bundle: str
    ablation: Ablation
    figures: Mapping[str, Figures]  # by machine
    official: Official


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one official score is than another, on the same clips."""

    value: float
    std: float  # bootstrap, both scores from the same draws of clips

    @classmethod
    def of(cls, row: SystemRow, other: SystemRow) -> Difference:
        """The official score of `row` minus that of `other`."""
        paired = row.official.replicates - other.official.replicates
        return cls(row.official.score - other.official.score, float(np.std(paired, ddof=1)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was measured; all rows are of the same machines and clips."""

    machines: tuple[MachineEvaluation, ...]  # those that have figures
    rows: tuple[SystemRow, ...]
    ablations: tuple[AblationRow, ...]

    @property
    def best(self) -> SystemRow:
        return max(self.rows, key=lambda row: row.official.score)


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation over bundles."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Average:
    """Rows of one kind, taken as repetitions of one training."""

    rows: tuple[SystemRow, ...]  # at least two

    @property
    def official(self) -> Spread:
        return _spread([row.official.score for row in self.rows])

    def machine(self, name: str) -> dict[str, Spread]:
        """``auc_source``, ``auc_target``, ``pauc`` and ``hmean`` of one machine."""
        metrics = [row.figures[name].metrics for row in self.rows]
        return {
            figure: _spread([getattr(one, figure) for one in metrics])
            for figure in ("auc_source", "auc_target", "pauc", "hmean")
        }


def compare(
    bundles: Sequence[ScoredBundle], *, n_replicates: int = 1000, seed: int = 0
) -> Comparison:
    """The figures of every system in every bundle, and of their ablations.

    Rows are sorted by system, in the order of :data:`edge_asd.bundle.system.SYSTEMS`, then as the
    bundles are. Nothing is fitted.

    Parameters
    ----------
    bundles
        With scores of the same clips, which are labelled.
    n_replicates, seed
        Of the bootstrap over test clips.

    Raises
    ------
    DataError
        When no machine's clips have figures; the message says why.
    """
    systems = [
        (bundle, system, fusions)
        for bundle in bundles
        for system, fusions in systems_present(bundle.manifest).items()
    ]
    order = list(SYSTEMS)
    systems.sort(key=lambda one: order.index(one[1]) if one[1] in SYSTEMS else len(order))
    parts = [(bundle, part) for bundle in bundles for part in ablations(bundle.manifest)]
    sums = [(bundle, fusions) for bundle, _, fusions in systems]
    sums += [(bundle, part.fusions) for bundle, part in parts]
    evaluation = evaluate_scores(_fused(sums), n_replicates=n_replicates, seed=seed)
    if not evaluation.measured:
        raise DataError(f"nothing to compare: {evaluation.machines[0].skipped}")
    measured = _Measured(evaluation)
    return Comparison(
        machines=evaluation.measured,
        rows=tuple(
            SystemRow(
                bundle=bundle.name,
                system=system,
                networks=networks_of(bundle.manifest, fusions),
                precision=precision_of(bundle.manifest, fusions),
                is_whole=system == bundle.manifest.system,
                labels=tuple(
                    dict.fromkeys(used for one in fusions.values() for used in labels_of(one))
                ),
                figures=measured.figures(number),
                official=measured.official(number),
            )
            for number, (bundle, system, fusions) in enumerate(systems)
        ),
        ablations=tuple(
            AblationRow(bundle.name, part, measured.figures(number), measured.official(number))
            for number, (bundle, part) in enumerate(parts, start=len(systems))
        ),
    )


def has_repetitions(manifests: Iterable[Manifest]) -> bool:
    """Whether :func:`averages` will have something to average."""
    kinds = [
        (system, networks_of(manifest, fusions), precision_of(manifest, fusions))
        for manifest in manifests
        for system, fusions in systems_present(manifest).items()
    ]
    return len(set(kinds)) < len(kinds)


def averages(rows: Sequence[SystemRow]) -> tuple[Average, ...]:
    """Rows of one system, its networks and precision, taken together where there are several."""
    kinds: dict[tuple[object, ...], list[SystemRow]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    return tuple(Average(tuple(alike)) for alike in kinds.values() if len(alike) > 1)


@dataclass(frozen=True, slots=True)
class _Measured:
    """An evaluation whose kinds of score are numbers."""

    evaluation: Evaluation

    def figures(self, number: int) -> dict[str, Figures]:
        return {
            machine.machine: machine.figures[str(number)] for machine in self.evaluation.measured
        }

    def official(self, number: int) -> Official:
        return self.evaluation.official[str(number)]


def _fused(sums: Sequence[tuple[ScoredBundle, Fusions]]) -> Iterator[ScoredClips]:
    """The scores of every sum, by its number, for each machine."""
    first = sums[0][0]
    for place, clips in enumerate(first.machines):
        yield ScoredClips(
            machine=clips.machine,
            scores={
                str(number): fuse(fusions[clips.machine], dict(bundle.machines[place].scores))
                for number, (bundle, fusions) in enumerate(sums)
            },
            is_anomaly=clips.is_anomaly,
            is_target=clips.is_target,
        )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)))
