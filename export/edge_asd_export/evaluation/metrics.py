"""The challenge's figures of merit.

The definitions are those of the official DCASE 2026 Task 2 evaluator, which are
scikit-learn's; ``docs/evaluation.md`` lists where they differ from the printed formula.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from edge_asd.errors import DataError

__all__ = [
    "EPSILON",
    "MAX_FPR",
    "DecisionMetrics",
    "MachineMetrics",
    "checked_clips",
    "decision_metrics",
    "harmonic_mean",
    "machine_metrics",
    "official_score",
]

EPSILON = float(np.finfo(np.float64).eps)  # the evaluator's floor before the harmonic mean
MAX_FPR = 0.1  # p of the partial AUC

_Bool = NDArray[np.bool_]
_Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MachineMetrics:
    """Ranking quality of one machine's test clips; every value lies in [0, 1]."""

    auc_source: float  # source normals against the anomalies of both domains
    auc_target: float  # target normals against the anomalies of both domains
    pauc: float  # all clips, up to MAX_FPR, McClish-standardised: chance is 0.5
    auc_all: float  # all clips; not part of the official score

    @property
    def official(self) -> tuple[float, float, float]:
        """The three values that enter the official score."""
        return self.auc_source, self.auc_target, self.pauc

    @property
    def hmean(self) -> float:
        """Harmonic mean of the three official values."""
        return harmonic_mean(self.official)


@dataclass(frozen=True, slots=True)
class DecisionMetrics:
    """What a fixed threshold makes of some clips; every value lies in [0, 1]."""

    precision: float
    recall: float  # the detection rate
    f1: float
    false_alarm_rate: float  # share of the normal clips decided anomalous


def machine_metrics(
    scores: ArrayLike, is_anomaly: ArrayLike, is_target: ArrayLike
) -> MachineMetrics:
    """AUC of both domains and pAUC of one machine, as the official evaluator computes them.

    Parameters
    ----------
    scores : (n,) float
        Anomaly scores, higher is more anomalous.
    is_anomaly, is_target : (n,) bool
        Label and domain of each clip.

    Raises
    ------
    DataError
        When a score is not finite, or when there are no anomalies or a domain has no
        normal clips, so that a value is undefined.
    """
    values, anomaly, target = checked_clips(scores, is_anomaly, is_target)
    source_clips = anomaly | ~target
    target_clips = anomaly | target
    return MachineMetrics(
        auc_source=float(roc_auc_score(anomaly[source_clips], values[source_clips])),
        auc_target=float(roc_auc_score(anomaly[target_clips], values[target_clips])),
        pauc=float(roc_auc_score(anomaly, values, max_fpr=MAX_FPR)),
        auc_all=float(roc_auc_score(anomaly, values)),
    )


def official_score(machines: Iterable[MachineMetrics]) -> float:
    """Harmonic mean over machines of their AUC source, AUC target and pAUC, equally weighted.

    Raises
    ------
    DataError
        When there are no machines.
    """
    return harmonic_mean([value for machine in machines for value in machine.official])


def harmonic_mean(values: ArrayLike) -> float:
    """Harmonic mean of values in [0, 1], each raised to :data:`EPSILON` first.

    Raises
    ------
    DataError
        When there are no values.
    """
    clamped = np.maximum(np.asarray(values, dtype=np.float64), EPSILON)
    if clamped.size == 0:
        raise DataError("no metrics to average; expected at least one machine with labels")
    return float(hmean(clamped))


def decision_metrics(is_alarm: ArrayLike, is_anomaly: ArrayLike) -> DecisionMetrics:
    """Precision, recall, F1 and false-alarm rate of decisions; 0 where undefined.

    Parameters
    ----------
    is_alarm, is_anomaly : (n,) bool
        Decision (score > threshold, strictly) and label of each clip. The evaluator takes
        the clips of one domain at a time.
    """
    alarm = np.asarray(is_alarm, dtype=np.bool_)
    anomaly = np.asarray(is_anomaly, dtype=np.bool_)
    hits = float(np.sum(alarm & anomaly))
    precision = hits / max(float(alarm.sum()), EPSILON)
    recall = hits / max(float(anomaly.sum()), EPSILON)
    return DecisionMetrics(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, EPSILON),
        false_alarm_rate=float(np.sum(alarm & ~anomaly)) / max(float(np.sum(~anomaly)), EPSILON),
    )


def checked_clips(
    scores: ArrayLike, is_anomaly: ArrayLike, is_target: ArrayLike
) -> tuple[_Float, _Bool, _Bool]:
    """The three arrays as float64, bool and bool, after refusing what has no defined metrics.

    Raises
    ------
    DataError
        As :func:`machine_metrics`.
    """
    values = np.asarray(scores, dtype=np.float64)
    anomaly = np.asarray(is_anomaly, dtype=np.bool_)
    target = np.asarray(is_target, dtype=np.bool_)
    if not values.ndim == 1 or not values.shape == anomaly.shape == target.shape:
        raise DataError(
            f"scores {values.shape}, labels {anomaly.shape} and domains {target.shape} "
            "differ in shape; expected three arrays (n,)"
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{int(np.sum(~np.isfinite(values)))} of {values.size} scores are not finite"
        )
    n_source, n_target = int(np.sum(~anomaly & ~target)), int(np.sum(~anomaly & target))
    n_anomalies = int(anomaly.sum())
    if not (n_source and n_target and n_anomalies):
        raise DataError(
            f"found {n_source} source normals, {n_target} target normals and {n_anomalies} "
            "anomalies; the metrics need at least one of each"
        )
    return values, anomaly, target
