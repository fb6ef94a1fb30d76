"""From the scores of normal clips to what a bundle says about one: fusion and threshold.

Statistics come from the scores of training clips (:func:`.scoring.normal_scores`), with the
clips of both domains pooled (ten target clips alone are too few), and never from test data.
Fusion weights come from a `WeightRule`: without labels, or from labelled development
clips by grid search.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.bundle.system import WeightedSum
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse, standardised
from edge_asd_export.calibration.channel_weights import WEIGHT_RULES, channel_weights

__all__ = [
    "ClipScores",
    "GridSearch",
    "LabelFree",
    "WeightRule",
    "fit_fusions",
]

Floats = NDArray[np.float64]
Scores = Mapping[str, Floats]  # by branch, or by part of a sum; as many clips each

_TIE = 1e-9  # objectives closer than this are equal


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Scores of one machine's clips, which its fusion is chosen from."""

    normal: Scores  # of training clips, each without help from itself
    labelled: Scores | None = None  # of development test clips


@dataclass(frozen=True, slots=True)
class LabelFree:
    """Weights of each machine from its normal clips; `rule` is a key of ``WEIGHT_RULES``."""

    rule: str

    labels = None

    @property
    def method(self) -> str:
        """The rule in words, for the bundle."""
        return f"label-free, {self.rule}: {WEIGHT_RULES[self.rule].summary}"

    def weights(self, machines: Mapping[str, ClipScores]) -> dict[str, dict[str, float]]:
        """Return the weight of each part, by machine."""
        return {
            machine: channel_weights(self.rule, scores.normal)
            for machine, scores in machines.items()
        }


@dataclass(frozen=True, slots=True)
class GridSearch:
    """One set of weights for all machines, the best on labelled development clips.

    Of weights that are equally good, those nearest to equal win, then those with more on
    earlier parts.
    """

    objective: Callable[[Mapping[str, Floats]], float]  # of fused scores by machine, e.g. official
    labels: str  # in words, which clips' labels the objective knows
    step: float = 0.05

    @property
    def method(self) -> str:
        return f"grid search, step {self.step:g}, pooled over machines"

    def weights(self, machines: Mapping[str, ClipScores]) -> dict[str, dict[str, float]]:
        """Return the weight of each part; the same for every machine.

        Raises
        ------
        DataError
            When a machine has no labelled scores.
        """
        labelled = {name: scores.labelled for name, scores in machines.items()}
        if not labelled or not all(labelled.values()):
            without = [name for name, scores in labelled.items() if not scores]
            raise DataError(f"a grid search needs labelled clips; machines without: {without}")
        parts = list(next(iter(machines.values())).normal)
        candidates = _simplex(len(parts), round(1 / self.step))
        values = [
            self.objective(
                {name: _mixed(scores, parts, w) for name, scores in labelled.items() if scores}
            )
            for w in candidates
        ]
        tied = [w for w, v in zip(candidates, values, strict=True) if v >= max(values) - _TIE]
        chosen = min(tied, key=lambda w: (round(sum(x * x for x in w), 9), [-x for x in w]))
        return {name: dict(zip(parts, chosen, strict=True)) for name in machines}


WeightRule = LabelFree | GridSearch  # how the parts of one sum are weighted


def fit_fusions(
    weighted: WeightedSum, machines: Mapping[str, ClipScores], rules: Mapping[str, WeightRule]
) -> dict[str, FusionSpec]:
    """Return the fusion of each machine.

    Sums inside `weighted` are fitted first and then count as one part. A sum that standardises
    takes the mean and the standard deviation of each part from that machine's normal scores
    (:func:`edge_asd.scoring.fusion.standardised`).

    Parameters
    ----------
    weighted : WeightedSum
        Of a system.
    machines : mapping of machine to ClipScores
        Scores are keyed by branch.
    rules : mapping of what a sum is over to WeightRule
        Sums over what has no rule weigh their parts equally.

    Raises
    ------
    DataError
        When scores that are needed are missing, or are not finite.
    """
    inner = {
        part: fit_fusions(part, machines, rules)
        for part in weighted.parts
        if isinstance(part, WeightedSum)
    }
    terms = {
        machine: [
            _standardised(part if isinstance(part, str) else inner[part][machine], weighted, scores)
            for part in weighted.parts
        ]
        for machine, scores in machines.items()
    }
    alone = len(weighted.parts) == 1
    rule = LabelFree("equal") if alone else rules.get(weighted.over, LabelFree("equal"))
    weights = rule.weights(
        {machine: _by_part(terms[machine], scores) for machine, scores in machines.items()}
    )
    return {
        machine: FusionSpec(
            terms=tuple(
                term.model_copy(update={"weight": round(weight, 6)})
                for term, weight in zip(terms[machine], weights[machine].values(), strict=True)
            ),
            method="one branch" if alone else rule.method,
            labels=rule.labels,
        )
        for machine in machines
    }


def _standardised(part: str | FusionSpec, weighted: WeightedSum, scores: ClipScores) -> TermSpec:
    """A term of weight 1 with the statistics of its normal scores."""
    alone = TermSpec(of=part, weight=1.0)
    normal = _scores_of(alone, scores.normal)
    if normal.size == 0 or not np.isfinite(normal).all():
        name = part if isinstance(part, str) else "a nested sum"
        raise DataError(f"the normal scores of {name} are empty or not finite")
    return standardised(alone, scores.normal) if weighted.standardise else alone


def _by_part(terms: Sequence[TermSpec], scores: ClipScores) -> ClipScores:
    """The scores seen through `terms`, one part each."""

    def parts(of_branches: Scores) -> Scores:
        return {str(i): _scores_of(term, of_branches) for i, term in enumerate(terms)}

    return ClipScores(parts(scores.normal), parts(scores.labelled) if scores.labelled else None)


def _scores_of(term: TermSpec, scores: Scores) -> Floats:
    return np.asarray(fuse(FusionSpec(terms=(term,), method=""), scores), dtype=np.float64)


def _mixed(scores: Scores, parts: Sequence[str], weights: Sequence[float]) -> Floats:
    return np.asarray(sum(w * scores[part] for part, w in zip(parts, weights, strict=True)))


def _simplex(n_parts: int, n_steps: int) -> list[tuple[float, ...]]:
    """All weights that are multiples of ``1 / n_steps`` and sum to one."""
    bars = itertools.combinations(range(n_steps + n_parts - 1), n_parts - 1)
    edges = ((-1, *inside, n_steps + n_parts - 1) for inside in bars)
    return [
        tuple((right - left - 1) / n_steps for left, right in itertools.pairwise(edge))
        for edge in edges
    ]
