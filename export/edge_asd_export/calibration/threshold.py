"""The alarm threshold of a machine, from the scores of its normal sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import gamma

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.errors import DataError, UsageError

__all__ = ["threshold_from_normal_scores"]

MIN_EXCEEDANCES = 10  # scores above an empirical threshold; their count is then good to a third
CLEAR_RATE_FACTOR = 10.0  # of the false-alarm rate; at most every second normal window is above
_CONSTANT = 1e-9  # relative spread of scores that is rounding

Quantile = Callable[[float], float]  # of an upper-tail probability


def threshold_from_normal_scores(
    scores: ArrayLike,
    false_alarm_rate: float,
    *,
    kind: str = "leave-one-out",
    min_exceedances: int = MIN_EXCEEDANCES,
) -> ThresholdSpec:
    """Return the level that a stated share of normal windows exceeds.

    An empirical quantile where the sample holds `min_exceedances` scores above it, otherwise
    the quantile of a gamma distribution fitted to the scores. Its location is fixed, since a
    free one makes the fit unstable: at 0, or, where scores are not positive (differences,
    z-scores), one standard deviation below the least. Equal scores are their own threshold.

    The clear threshold is the level that `CLEAR_RATE_FACTOR` times as many normal windows
    exceed, never below the median.

    Parameters
    ----------
    scores : (n,) float
        Scores of normal windows, after fusion.
    false_alarm_rate : float
        Share of normal windows above the threshold, in (0, 1).
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
    quantile, method = _tail(normal, false_alarm_rate, min_exceedances)
    clear_rate = max(false_alarm_rate, min(CLEAR_RATE_FACTOR * false_alarm_rate, 0.5))
    return ThresholdSpec(
        threshold=quantile(false_alarm_rate),
        clear_threshold=quantile(clear_rate),
        false_alarm_rate=false_alarm_rate,
        method=f"{method} of {kind} normal scores",
        n_scores=normal.size,
    )


def _tail(
    normal: NDArray[np.float64], false_alarm_rate: float, min_exceedances: int
) -> tuple[Quantile, str]:
    """Upper quantiles of the scores, and how they are found."""
    if np.ptp(normal) <= _CONSTANT * np.abs(normal).max():
        return lambda rate: float(normal.max()), "common value"
    if normal.size * false_alarm_rate >= min_exceedances:
        return (
            lambda rate: float(np.quantile(normal, 1.0 - rate, method="higher")),
            "empirical quantile",
        )
    location = 0.0 if normal.min() > 0 else float(normal.min() - normal.std())
    shape, _, scale = gamma.fit(normal, floc=location)
    return (
        lambda rate: float(gamma.isf(rate, shape, loc=location, scale=scale)),
        f"quantile of a gamma distribution (location fixed at {location:.4g})",
    )
