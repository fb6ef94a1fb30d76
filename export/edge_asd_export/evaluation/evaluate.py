"""From scores of test clips to the challenge's figures, per machine and over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import DataError
from edge_asd_export.evaluation.bootstrap import bootstrap_hmeans, bootstrap_metrics, bootstrap_std
from edge_asd_export.evaluation.metrics import (
    DecisionMetrics,
    MachineMetrics,
    decision_metrics,
    machine_metrics,
    official_score,
)

__all__ = [
    "FUSED",
    "Evaluation",
    "Figures",
    "MachineEvaluation",
    "Official",
    "ScoredClips",
    "evaluate_scores",
]

FUSED = "fused"  # the key of the bundle's final score, beside the names of its branches


@dataclass(frozen=True, slots=True)
class ScoredClips:
    """Scores of one machine's test clips, and what is known of the clips."""

    machine: str
    scores: Mapping[str, NDArray[np.float64]]  # each (n,), by FUSED or name of the branch
    is_anomaly: NDArray[np.bool_] | None  # (n,); None: the clips are anonymous
    is_target: NDArray[np.bool_] | None  # (n,); None: the clips are anonymous
    threshold: float | None = None  # of the fused score; None: no decisions
    # Of the fused score, by the share of normal windows that it is stated to lie below.
    levels: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one score of one machine."""

    metrics: MachineMetrics
    hmean_std: float  # bootstrap, of the harmonic mean

    def numbers(self) -> dict[str, float]:
        """All figures by name."""
        return asdict(self.metrics) | {"hmean": self.metrics.hmean, "hmean_std": self.hmean_std}


@dataclass(frozen=True, slots=True)
class MachineEvaluation:
    """The figures of one machine; empty with a reason when they are undefined."""

    machine: str
    n_clips: int
    composition: Mapping[str, int]  # clips by "source normal" and so on; empty: anonymous
    figures: Mapping[str, Figures] = field(default_factory=dict)  # by FUSED or branch
    decisions: Mapping[str, DecisionMetrics] = field(default_factory=dict)
    # of the fused score by "source", "target", "all"; empty without a threshold
    stated: Mapping[float, DecisionMetrics] = field(default_factory=dict)
    # of the fused score by stated rate of windows; empty without levels
    skipped: str | None = None  # why there are no figures


@dataclass(frozen=True, slots=True)
class Official:
    """The official score of one kind of score over all machines that have figures."""

    score: float
    # (n_replicates,) of the bootstrap; replicate i of every kind of score has drawn the same
    # clips, so that differences of two kinds are paired
    replicates: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def std(self) -> float:
        """Standard deviation over the bootstrap."""
        return float(np.std(self.replicates, ddof=1))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured."""

    machines: tuple[MachineEvaluation, ...]
    official: Mapping[str, Official]  # by FUSED or branch; empty: no machine has figures

    @property
    def measured(self) -> tuple[MachineEvaluation, ...]:
        """The machines that have figures: those behind the official score."""
        return tuple(machine for machine in self.machines if not machine.skipped)

    @property
    def stated(self) -> dict[float, tuple[float, float]]:
        """Mean over machines of false alarms and of hits, by stated rate of windows."""
        with_levels = [machine.stated for machine in self.machines if machine.stated]
        return {
            rate: (
                float(np.mean([one[rate].false_alarm_rate for one in with_levels])),
                float(np.mean([one[rate].recall for one in with_levels])),
            )
            for rate in (with_levels[0] if with_levels else ())
        }


def evaluate_scores(
    machines: Iterable[ScoredClips], *, n_replicates: int = 1000, seed: int = 0
) -> Evaluation:
    """The challenge's figures of every kind of score, with bootstrap standard deviations.

    A machine whose clips are anonymous, or lack a class, gets a reason instead of figures
    and does not count in the official score.

    Parameters
    ----------
    machines
        One entry per machine, all with the same kinds of score.
    n_replicates, seed
        Of the bootstrap over test clips.
    """
    evaluations = []
    metrics: dict[str, list[MachineMetrics]] = {}
    replicates: dict[str, list[NDArray[np.float64]]] = {}
    for clips in machines:
        figures: dict[str, Figures] = {}
        skipped = None
        try:
            for kind, scores in clips.scores.items():
                labelled = (scores, *_labels(clips))
                drawn = bootstrap_metrics(*labelled, n_replicates=n_replicates, seed=seed)
                figures[kind] = Figures(machine_metrics(*labelled), bootstrap_std([drawn]))
                metrics.setdefault(kind, []).append(figures[kind].metrics)
                replicates.setdefault(kind, []).append(drawn)
        except DataError as error:
            skipped = str(error)
        evaluations.append(
            MachineEvaluation(
                machine=clips.machine,
                n_clips=next(iter(clips.scores.values())).size,
                composition=_composition(clips),
                figures=figures,
                decisions=_decisions(clips),
                stated=_stated(clips),
                skipped=skipped,
            )
        )
    official = {
        kind: Official(official_score(metrics[kind]), bootstrap_hmeans(replicates[kind]))
        for kind in metrics
    }
    return Evaluation(tuple(evaluations), official)


def _labels(clips: ScoredClips) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if clips.is_anomaly is None or clips.is_target is None:
        raise DataError("the clips are anonymous; metrics need --ground-truth")
    return clips.is_anomaly, clips.is_target


def _masks(clips: ScoredClips) -> Sequence[tuple[str, NDArray[np.bool_]]]:
    """Which clips are of each domain; nothing for anonymous clips."""
    if clips.is_target is None:
        return ()
    return (("source", ~clips.is_target), ("target", clips.is_target))


def _composition(clips: ScoredClips) -> dict[str, int]:
    return {
        f"{domain} {label}": int(np.sum(mask & (clips.is_anomaly == anomalous)))
        for domain, mask in _masks(clips)
        for label, anomalous in (("normal", False), ("anomaly", True))
    }


def _decisions(clips: ScoredClips) -> dict[str, DecisionMetrics]:
    if clips.threshold is None or clips.is_anomaly is None:
        return {}
    is_alarm = clips.scores[FUSED] > clips.threshold
    every = np.ones_like(is_alarm)
    return {
        domain: decision_metrics(is_alarm[mask], clips.is_anomaly[mask])
        for domain, mask in (*_masks(clips), ("all", every))
    }


def _stated(clips: ScoredClips) -> dict[float, DecisionMetrics]:
    if clips.is_anomaly is None:
        return {}
    return {
        rate: decision_metrics(clips.scores[FUSED] > level, clips.is_anomaly)
        for rate, level in clips.levels.items()
    }
