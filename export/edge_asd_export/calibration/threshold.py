"""The alarm threshold of a machine, from the scores of its training clips."""

from __future__ import annotations

from functools import partial

from numpy.typing import ArrayLike
from scipy.stats import gamma

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.scoring.density import Floats
from edge_asd.scoring.threshold import Quantile, empirical_quantile, normal_threshold

__all__ = ["threshold_from_normal_scores"]

MIN_EXCEEDANCES = 10  # scores above an empirical threshold; their count is then good to a third


def threshold_from_normal_scores(
    scores: ArrayLike, false_alarm_rate: float, *, kind: str = "leave-one-out"
) -> ThresholdSpec:
    """Return the level that a stated share of normal windows exceeds.

    An empirical quantile where the sample holds `MIN_EXCEEDANCES` scores above it, otherwise
    the quantile of a gamma distribution fitted to the scores. Its location is fixed, since a
    free one makes the fit unstable: at 0, or, where scores are not positive (differences,
    z-scores), one standard deviation below the least.

    Parameters and errors are those of :func:`edge_asd.scoring.threshold.normal_threshold`.
    """
    return normal_threshold(scores, false_alarm_rate, _tail, kind=f"{kind} normal scores")


def _tail(normal: Floats, false_alarm_rate: float) -> tuple[Quantile, str]:
    if normal.size * false_alarm_rate >= MIN_EXCEEDANCES:
        return partial(empirical_quantile, normal), "empirical quantile"
    location = 0.0 if normal.min() > 0 else float(normal.min() - normal.std())
    shape, _, scale = gamma.fit(normal, floc=location)
    return (
        lambda rate: float(gamma.isf(rate, shape, loc=location, scale=scale)),
        f"quantile of a gamma distribution (location fixed at {location:.4g})",
    )
