"""How much the figures of merit would move with another draw of test clips."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hmean

from edge_asd_export.evaluation.metrics import EPSILON, MAX_FPR, checked_clips

__all__ = ["bootstrap_hmeans", "bootstrap_metrics", "bootstrap_std"]

_Float = NDArray[np.float64]


def bootstrap_metrics(
    scores: ArrayLike,
    is_anomaly: ArrayLike,
    is_target: ArrayLike,
    *,
    n_replicates: int = 1000,
    seed: int = 0,
) -> _Float:
    """AUC source, AUC target and pAUC of resampled test clips, (n_replicates, 3).

    Clips are drawn with replacement within each combination of label and domain, so that
    every replicate has the composition of the test set.

    Raises
    ------
    DataError
        As :func:`edge_asd_export.evaluation.metrics.machine_metrics`.
    """
    values, anomaly, target = checked_clips(scores, is_anomaly, is_target)
    rng = np.random.default_rng(seed)
    times_drawn = np.zeros((n_replicates, values.size))
    for label in (False, True):
        for domain in (False, True):
            stratum = np.flatnonzero((anomaly == label) & (target == domain))
            if stratum.size:
                evenly = np.full(stratum.size, 1 / stratum.size)
                draws = rng.multinomial(stratum.size, evenly, size=n_replicates)
                times_drawn[:, stratum] = draws
    anomalies = times_drawn * anomaly
    normals = times_drawn * ~anomaly
    return np.stack(
        [
            _area(*_roc(values, anomalies, normals * ~target), max_fpr=1.0),
            _area(*_roc(values, anomalies, normals * target), max_fpr=1.0),
            _mcclish(_area(*_roc(values, anomalies, normals), max_fpr=MAX_FPR)),
        ],
        axis=1,
    )


def bootstrap_hmeans(replicates: Iterable[_Float]) -> _Float:
    """Harmonic means over one or several machines, (n_replicates,).

    Parameters
    ----------
    replicates : iterable of (n_replicates, 3) float64
        Results of :func:`bootstrap_metrics`, one per machine.
    """
    joined = np.maximum(np.concatenate(list(replicates), axis=1), EPSILON)
    return np.asarray(hmean(joined, axis=1))


def bootstrap_std(replicates: Iterable[_Float]) -> float:
    """Standard deviation of :func:`bootstrap_hmeans`."""
    return float(np.std(bootstrap_hmeans(replicates), ddof=1))


def _roc(values: _Float, anomalies: _Float, normals: _Float) -> tuple[_Float, _Float]:
    """ROC curves of weighted clips: false and true positive rates, (n_replicates, n_levels + 1).

    scikit-learn takes one weighting per call, at 4 ms for the three areas of 200 clips:
    seconds per machine and branch. One sort serves all replicates here.
    """
    order = np.argsort(-values, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(values[order])), values.size - 1)

    def rates(weights: _Float) -> _Float:
        counts = np.cumsum(weights[:, order], axis=1)[:, last_of_tie]
        return np.pad(counts / counts[:, -1:], ((0, 0), (1, 0)))

    return rates(normals), rates(anomalies)


def _area(fpr: _Float, tpr: _Float, *, max_fpr: float) -> _Float:
    """Area under piecewise linear curves from 0 to `max_fpr`, (n_replicates,)."""
    width = np.diff(fpr, axis=1)
    rise = np.diff(tpr, axis=1)
    used = np.clip(max_fpr - fpr[:, :-1], 0.0, width)
    share = np.divide(used, width, out=np.zeros_like(used), where=width > 0)
    total: _Float = np.sum(used * (tpr[:, :-1] + 0.5 * share * rise), axis=1)
    return total


def _mcclish(partial_area: _Float) -> _Float:
    """Partial area rescaled so that chance is 0.5 and perfect is 1 (McClish 1989)."""
    chance = MAX_FPR**2 / 2
    return 0.5 * (1 + (partial_area - chance) / (MAX_FPR - chance))
