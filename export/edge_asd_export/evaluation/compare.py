"""Systems of several bundles beside each other, from the same scores of the same clips.

Every bundle is scored once, branch by branch. The scores of each system that it holds, and
of each of their ablations, are sums of those
(:mod:`edge_asd_export.evaluation.contained_systems`): a sum of mean scores
over windows is the mean of the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_asd.bundle.manifest import Manifest
from edge_asd.bundle.system import SYSTEMS
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse
from edge_asd_export.evaluation.contained_systems import (
    Ablation,
    Fusions,
    ablations,
    contained_systems,
    labels_of,
    networks_of,
    precision_of,
)
from edge_asd_export.evaluation.evaluate import (
    Figures,
    MachineEvaluation,
    Official,
    ScoredClips,
    evaluate_scores,
)
from edge_asd_export.evaluation.score_clips import ScoredBundle

__all__ = [
    "AblationRow",
    "Average",
    "Comparison",
    "Difference",
    "Kind",
    "Spread",
    "SystemRow",
    "averages",
    "compare",
    "has_repetitions",
]

FIGURES = ("auc_source", "auc_target", "pauc", "hmean")


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure and its standard deviation, where there is one."""

    score: float
    std: float | None


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows have in common that may be repetitions of one training."""

    system: str
    networks: tuple[str, ...]  # what was trained, such as "beats-mini"
    precision: str

    @classmethod
    def of(cls, manifest: Manifest, system: str, fusions: Fusions) -> Kind:
        """The kind of a system that a bundle holds."""
        return cls(system, networks_of(manifest, fusions), precision_of(manifest, fusions))


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One system as one bundle holds it."""

    bundle: str
    kind: Kind
    labels: tuple[str, ...]  # which labels chose its weights; empty: none did
    figures: Mapping[str, Figures]  # by machine
    official: Official

    n_bundles = 1

    def machine(self, name: str) -> dict[str, Spread]:
        """Each of :data:`FIGURES` of one machine; only the last has a deviation over clips."""
        own = self.figures[name]
        spreads = {figure: Spread(getattr(own.metrics, figure), None) for figure in FIGURES}
        return spreads | {"hmean": Spread(own.metrics.hmean, own.hmean_std)}


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
class Average:
    """Rows of one kind, taken as repetitions of one training; deviations are over bundles."""

    rows: tuple[SystemRow, ...]  # at least two

    @property
    def bundle(self) -> str:
        return f"mean of {', '.join(row.bundle for row in self.rows)}"

    @property
    def kind(self) -> Kind:
        return self.rows[0].kind

    @property
    def n_bundles(self) -> int:
        return len(self.rows)

    @property
    def official(self) -> Spread:
        return _spread([row.official.score for row in self.rows])

    def machine(self, name: str) -> dict[str, Spread]:
        """Each of :data:`FIGURES` of one machine."""
        each = [row.machine(name) for row in self.rows]
        return {figure: _spread([one[figure].score for one in each]) for figure in FIGURES}


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
        for system, fusions in contained_systems(bundle.manifest).items()
    ]
    order = list(SYSTEMS)
    systems.sort(key=lambda one: order.index(one[1]) if one[1] in SYSTEMS else len(order))
    parts = [(bundle, part) for bundle in bundles for part in ablations(bundle.manifest)]
    sums = [(bundle, fusions) for bundle, _, fusions in systems]
    sums += [(bundle, part.fusions) for bundle, part in parts]
    evaluation = evaluate_scores(_fused(sums), n_replicates=n_replicates, seed=seed)
    if not evaluation.measured:
        raise DataError(f"nothing to compare: {evaluation.machines[0].skipped}")

    def figures(number: int) -> dict[str, Figures]:
        return {one.machine: one.figures[str(number)] for one in evaluation.measured}

    rows = [
        SystemRow(
            bundle.name,
            Kind.of(bundle.manifest, system, fusions),
            tuple(dict.fromkeys(used for one in fusions.values() for used in labels_of(one))),
            figures(number),
            evaluation.official[str(number)],
        )
        for number, (bundle, system, fusions) in enumerate(systems)
    ]
    ablation_rows = [
        AblationRow(bundle.name, part, figures(number), evaluation.official[str(number)])
        for number, (bundle, part) in enumerate(parts, start=len(systems))
    ]
    return Comparison(evaluation.measured, tuple(rows), tuple(ablation_rows))


def has_repetitions(manifests: Iterable[Manifest]) -> bool:
    """Whether :func:`averages` will have something to average."""
    kinds = [
        Kind.of(manifest, system, fusions)
        for manifest in manifests
        for system, fusions in contained_systems(manifest).items()
    ]
    return len(set(kinds)) < len(kinds)


def averages(rows: Sequence[SystemRow]) -> tuple[Average, ...]:
    """Rows of one system, its networks and precision, taken together where there are several."""
    kinds: dict[Kind, list[SystemRow]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    return tuple(Average(tuple(alike)) for alike in kinds.values() if len(alike) > 1)


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
