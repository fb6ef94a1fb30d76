"""Normal scores as windows give them: some of their variance lasts, the rest overlaps."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.scoring.threshold import LEVEL_RATES

__all__ = ["normal_levels", "wandering_scores"]

_quantile = NormalDist().inv_cdf


def wandering_scores(
    n: int, share: float, *, lasting: int = 240, overlap: int = 4, seed: int = 0
) -> NDArray[np.float64]:
    """`n` normal scores in a row; a share of their variance stays for `lasting` windows."""
    rng = np.random.default_rng(seed)
    sums = np.cumsum(rng.standard_normal(n + overlap))
    short = (sums[overlap:] - sums[:-overlap]) / np.sqrt(overlap)
    long = rng.standard_normal(n // lasting + 1).repeat(lasting)[:n]
    return np.asarray(np.sqrt(1 - share) * short + np.sqrt(share) * long)


def normal_levels(rate: float = 0.01, n_takes: int | None = None) -> ThresholdSpec:
    """Levels of scores that are normal, of mean 0 and deviation 1."""
    return ThresholdSpec(
        threshold=-_quantile(rate),
        clear_threshold=-_quantile(min(10 * rate, 0.5)),
        false_alarm_rate=rate,
        method="exact",
        n_scores=max(1000, n_takes or 0),
        n_takes=n_takes,
        levels=tuple((each, -_quantile(each)) for each in LEVEL_RATES),
    )
