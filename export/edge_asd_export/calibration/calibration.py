"""What a bundle says of each machine: fusion weights and alarm threshold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from edge_asd.alarm.promise import FALSE_ALARMS_PER_MONTH, with_promise
from edge_asd.bundle.manifest import FusionSpec, PromiseSpec, ThresholdSpec
from edge_asd.bundle.system import System
from edge_asd.errors import DataError
from edge_asd.scoring.deciding_take import DecidingTake, deciding_take
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.threshold import normal_threshold
from edge_asd_export.calibration.fit_fusion import (
    ClipScores,
    GridSearch,
    LabelFree,
    WeightRule,
    fit_fusions,
)
from edge_asd_export.calibration.scoring import Floats
from edge_asd_export.calibration.unheard import Unheard, as_unheard
from edge_asd_export.data.clips import Clip
from edge_asd_export.evaluation.metrics import machine_metrics, official_score

__all__ = [
    "AlarmGoal",
    "Calibration",
    "LabelledClips",
    "calibrate",
    "require_labels",
]

RATE = 0.01  # of windows, where neither a rate nor a number of false alarms is wanted


@dataclass(frozen=True, slots=True)
class LabelledClips:
    """Development test clips whose labels may choose the fusion weights."""

    clips: Mapping[str, tuple[Clip, ...]]  # by machine
    source: str  # in words, for the bundle


@dataclass(frozen=True, slots=True)
class Calibration:
    """The numbers of one machine."""

    fusion: FusionSpec
    threshold: ThresholdSpec
    promise: PromiseSpec | None = None
    deciding: DecidingTake | None = None  # of the takes that are known


@dataclass(frozen=True, slots=True)
class AlarmGoal:
    """What the alarms of the machines of a bundle are to keep."""

    window_s: Mapping[str, float]  # by machine
    hop_s: float
    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH


def require_labels(labelled: LabelledClips, machines: Collection[str]) -> None:
    """Nothing when every machine has labelled clips.

    Raises
    ------
    DataError
        When one has none.
    """
    missing = [machine for machine in machines if not labelled.clips.get(machine)]
    if missing:
        raise DataError(
            f"no labelled test clips of {', '.join(missing)}: a grid search needs every machine; "
            "leave --dev-labels out to choose weights without labels"
        )


def calibrate(
    system: System,
    normal: Mapping[str, Mapping[str, Floats]],
    *,
    weight_rules: Mapping[str, str],
    false_alarm_rate: float | None = None,
    goal: AlarmGoal | None = None,
    kind: str = "leave-one-out",
    unheard: Mapping[str, Mapping[str, Floats]] | None = None,
    takes: Mapping[str, ArrayLike] | None = None,
    labelled: LabelledClips | None = None,
    labelled_scores: Mapping[str, Mapping[str, Floats]] | None = None,
) -> dict[str, Calibration]:
    """Choose weights and thresholds of every machine.

    Parameters
    ----------
    normal : scores of the training clips by machine and branch, (n_clips,) each
    weight_rules : label-free rule by what a sum is over, used when `labelled` is None
    false_alarm_rate : share of normal windows above the threshold; None: chosen by `goal`, or
        `RATE` where there is none
    goal : None: no promise is made
    kind : what the normal scores are, in words
    unheard : scores of these clips by networks that have not heard them, NaN where there are
        none; they set the thresholds, and change no weight. None: no network has heard any clip
    takes : number of the take of each of these clips by machine, (n_clips,) int each; None: not
        known
    labelled, labelled_scores : clips whose labels choose the weights, and their scores by
        machine and branch
    """
    rules: dict[str, WeightRule] = {over: LabelFree(rule) for over, rule in weight_rules.items()}
    if labelled is not None:
        rules = dict.fromkeys(rules, GridSearch(_official_objective(labelled), labelled.source))
    scores = {
        machine: ClipScores(own, (labelled_scores or {}).get(machine))
        for machine, own in normal.items()
    }
    new = {machine: Unheard(own, heard=False) for machine, own in normal.items()}
    if unheard is not None and takes is not None:
        numbers = {machine: np.asarray(of) for machine, of in takes.items()}
        new = as_unheard(normal, unheard, numbers)
    calibrations = {}
    for machine, fusion in fit_fusions(system.fusion, scores, rules).items():
        fused = np.asarray(fuse(fusion, dict(new[machine].scores)))
        of = None if takes is None else np.asarray(takes[machine])
        threshold = normal_threshold(
            fused,
            false_alarm_rate or RATE,
            kind=f"{kind} normal scores",
            n_takes=None if of is None else np.unique(of).size,
            heard=new[machine].heard,
        )
        promise = None
        if goal is not None:
            threshold, promise = with_promise(
                threshold,
                fused,
                of,
                window_s=goal.window_s[machine],
                hop_s=goal.hop_s,
                false_alarms_per_month=goal.false_alarms_per_month,
                false_alarm_rate=false_alarm_rate,
            )
        rate = threshold.false_alarm_rate
        deciding = None if of is None else deciding_take(fused, of, rate)
        calibrations[machine] = Calibration(fusion, threshold, promise, deciding)
    return calibrations


def _official_objective(labelled: LabelledClips) -> Callable[[Mapping[str, Floats]], float]:
    truth = {
        machine: (
            np.array([clip.label == "anomaly" for clip in clips]),
            np.array([clip.domain == "target" for clip in clips]),
        )
        for machine, clips in labelled.clips.items()
    }

    def official(fused: Mapping[str, Floats]) -> float:
        return official_score(
            machine_metrics(scores, *truth[machine]) for machine, scores in fused.items()
        )

    return official
