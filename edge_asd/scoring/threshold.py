"""The alarm threshold of a machine: the level that a stated share of normal windows exceeds.

Where the sample of normal scores is too small for a rate, the tail of a distribution stands in:
which one is up to the caller.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.density import Floats

__all__ = ["Quantile", "Tail", "empirical_quantile", "normal_threshold"]

CLEAR_RATE_FACTOR = 10.0  # of the false-alarm rate; at most every second normal window is above
_CONSTANT = 1e-9  # relative spread of scores that is rounding

Quantile = Callable[[float], float]  # the level that a share of normal windows exceeds
Tail = Callable[[Floats, float], tuple[Quantile, str]]  # of scores and a rate; how it is found


def normal_threshold(
    scores: ArrayLike, false_alarm_rate: float, tail: Tail, *, kind: str
) -> ThresholdSpec:
    """Return the alarm levels of a machine. Equal scores are their own threshold.

    The clear threshold is the level that `CLEAR_RATE_FACTOR` times as many normal windows
    exceed, at least the median.

    Parameters
    ----------
    scores : (n,) float
        Scores of normal windows, after fusion.
    false_alarm_rate : float
        Share of normal windows above the threshold, in (0, 1).
    tail : upper quantiles of scores that differ, for this rate, and their method in words
    kind : str
        What the scores are, for the method in words.

    Raises
    ------
    UsageError
        When the rate is not in (0, 1).
    DataError
        When there are no scores, or one is not finite.
    """
    normal = np.asarray(scores, dtype=np.float64).ravel()
    if not 0 < false_alarm_rate < 1:
        raise UsageError(f"a false-alarm rate lies between 0 and 1, found {false_alarm_rate}")
    if normal.size == 0 or not np.isfinite(normal).all():
        raise DataError(
            f"{np.count_nonzero(~np.isfinite(normal))} of {normal.size} normal scores are not "
            "finite; a threshold needs at least one score, and finite ones"
        )
    if np.ptp(normal) <= _CONSTANT * np.abs(normal).max():
        threshold = clear_threshold = float(normal.max())
        method = "common value"
    else:
        quantile, method = tail(normal, false_alarm_rate)
        threshold = quantile(false_alarm_rate)
        clear_rate = max(false_alarm_rate, min(CLEAR_RATE_FACTOR * false_alarm_rate, 0.5))
        clear_threshold = min(quantile(clear_rate), threshold)
    return ThresholdSpec(
        threshold=threshold,
        clear_threshold=clear_threshold,
        false_alarm_rate=false_alarm_rate,
        method=f"{method} of {kind}",
        n_scores=normal.size,
    )


def empirical_quantile(normal: Floats, rate: float) -> float:
    """Return the least score of a sample that at most a share `rate` of it exceeds."""
    return float(np.quantile(normal, 1.0 - rate, method="higher"))
