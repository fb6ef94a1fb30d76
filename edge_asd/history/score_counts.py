"""Scores counted in buckets of 1 % width: quantiles of any span, however it was put together.

Counts add up exactly, in any order; a quantile of them is within half a percent
(Masson et al., "DDSketch", PVLDB 12, 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["bucket_of", "quantiles"]

_WIDTH = math.log(1.01)
_LEAST, _MOST = 1e-6, 1e6  # in magnitude; less is zero, more is so much


def bucket_of(score: float) -> int:
    """Return the number of the bucket of a score; higher scores have higher ones."""
    magnitude = min(abs(score), _MOST)
    if magnitude < _LEAST:
        return 0
    number = 1 + round(math.log(magnitude / _LEAST) / _WIDTH)
    return number if score > 0 else -number


def quantiles(counts: Mapping[int, int], levels: Sequence[float]) -> list[float]:
    """Return scores that have this share of all counted ones below them; there are some."""
    buckets = np.array(sorted(counts))
    up_to = np.cumsum([counts[bucket] for bucket in buckets.tolist()])
    places = np.searchsorted(up_to, np.asarray(levels) * (up_to[-1] - 1), side="right")
    found = buckets[places]
    values = np.sign(found) * _LEAST * np.exp(_WIDTH * (np.abs(found) - 1))
    return [float(value) for value in values]
