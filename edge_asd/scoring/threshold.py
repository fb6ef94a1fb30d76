"""Alarm levels of a machine: those that stated shares of normal windows exceed.

Where the sample of normal scores is too small for a rate, a gamma distribution stands in. The cube
root of such scores is nearly normal (Wilson and Hilferty 1931, PNAS 17, 684), so that middle and
spread of the roots give every quantile. The spread is that above the middle: recordings that
are almost alike score low, which says nothing of how high others do.
"""

from __future__ import annotations

import math
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from edge_asd.bundle.calibration_spec import ThresholdSpec, clear_rate
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.density import Floats

__all__ = ["LEVEL_RATES", "MIN_EXCEEDANCES", "at_rate", "normal_threshold"]

LEVEL_RATES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)
_MOST = 1e6  # the levels of rare windows are higher
_CONSTANT = 1e-9  # relative spread of scores that is rounding
MIN_EXCEEDANCES = 10  # takes above an empirical threshold; their count is then good to a third


def normal_threshold(
    scores: ArrayLike,
    false_alarm_rate: float,
    *,
    kind: str,
    n_takes: int | None = None,
    heard: bool = False,
) -> ThresholdSpec:
    """Return the alarm levels of a machine. Equal scores are their own threshold.

    An empirical quantile where the sample holds `MIN_EXCEEDANCES` independent scores above it,
    one for each take, or each score where takes are not known; otherwise the quantile of a gamma
    distribution, and never less than that of the sample, which may be more skewed. The location
    is fixed: at 0, or, where scores are not positive (z-scores), one standard deviation below
    the least.

    The clear threshold is the level that ten times as many normal windows exceed, at least the
    median.

    Parameters
    ----------
    scores : (n,) float
        Scores of normal windows, after fusion.
    false_alarm_rate : float
        Share of normal windows above the threshold, in (0, 1).
    kind : str
        What the scores are, for the method in words.
    n_takes : int or None
        Independent recordings that the windows are of; None: not known.
    heard : bool
        Whether the networks were trained with these windows.

    Raises
    ------
    UsageError
        When the rate is not in (0, 1).
    DataError
        When there are no scores, or one is not finite or beyond any scorer's.
    """
    normal = np.asarray(scores, dtype=np.float64).ravel()
    if not 0 < false_alarm_rate < 1:
        raise UsageError(f"a false-alarm rate lies between 0 and 1, found {false_alarm_rate}")
    if normal.size == 0 or not (np.abs(normal) <= _MOST).all():
        raise DataError(
            f"{np.count_nonzero(~(np.abs(normal) <= _MOST))} of {normal.size} normal scores are "
            f"not finite or beyond {_MOST:g}; a threshold needs at least one score, and such as "
            "a machine gives"
        )
    equal = np.ptp(normal) <= _CONSTANT * np.abs(normal).max()
    quantile = (
        partial(_common_value, float(normal.max()))
        if equal
        else partial(_upper, normal, n_takes or normal.size)
    )
    clearing = clear_rate(false_alarm_rate)
    rates = sorted({*LEVEL_RATES, false_alarm_rate, clearing}, reverse=True)
    # Levels that are found in different ways must not cross.
    found = np.maximum.accumulate([quantile(rate)[0] for rate in rates]).tolist()
    levels = dict(zip(rates, found, strict=True))
    return ThresholdSpec(
        threshold=levels[false_alarm_rate],
        clear_threshold=levels[clearing],
        false_alarm_rate=false_alarm_rate,
        method=f"{quantile(false_alarm_rate)[1]} of {kind}",
        n_scores=normal.size,
        n_takes=n_takes,
        heard=heard,
        levels=tuple((rate, levels[rate]) for rate in LEVEL_RATES),
    )


def at_rate(spec: ThresholdSpec, rate: float) -> ThresholdSpec:
    """Return the same levels with the threshold at another rate."""
    threshold = spec.level_at(rate)
    clear_threshold = min(spec.level_at(clear_rate(rate)), threshold)
    changes = {"threshold": threshold, "clear_threshold": clear_threshold}
    return spec.model_copy(update=changes | {"false_alarm_rate": rate})


def _upper(normal: Floats, n_independent: int, rate: float) -> tuple[float, str]:
    """The level that a share `rate` lies above, and how it is found."""
    if n_independent * rate >= MIN_EXCEEDANCES:
        return float(np.quantile(normal, 1.0 - rate, method="higher")), "empirical quantile"
    location = 0.0 if normal.min() > 0 else float(normal.min() - normal.std())
    roots = np.cbrt(normal - location)
    middle = float(np.median(roots))
    spread = math.sqrt(2 * float(np.mean(np.maximum(roots - middle, 0.0) ** 2)))
    root = middle + spread * NormalDist().inv_cdf(1.0 - rate)
    heard = float(np.quantile(normal, 1.0 - rate))
    method = f"quantile of a gamma distribution (location fixed at {location:.4g})"
    return max(location + root**3, heard), method


def _common_value(value: float, rate: float) -> tuple[float, str]:
    return value, "common value"
