"""Score normalisation: the distance to a reference, on a scale of that reference's own.

The score of embedding y against the bank of one domain is ::

    min over references x of  scale(x) * D(y, x) + offset(x)

:mod:`edge_asd.scoring.kinds` says how each kind of scorer chooses scale and offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.scoring.density import Floats

__all__ = ["NearestReferences", "ScoreNormalisation"]


@dataclass(frozen=True, slots=True, eq=False)
class NearestReferences:
    """The references of least normalised distance to a query, the nearest first."""

    rows: NDArray[np.intp]  # (k,)
    distance: Floats  # (k,) normalised


@dataclass(frozen=True, slots=True, eq=False)
class ScoreNormalisation:
    """Scale and offset of the distance to each reference; shape (..., n), float64."""

    scale: Floats
    offset: Floats

    @classmethod
    def joined(cls, parts: Sequence[ScoreNormalisation]) -> ScoreNormalisation:
        """Return that of the references of all parts, in order."""
        return cls(
            np.concatenate([part.scale for part in parts]),
            np.concatenate([part.offset for part in parts]),
        )

    def typical(self, n: int) -> ScoreNormalisation:
        """Return that of `n` references, each as a typical one of these."""
        scale, offset = float(np.median(self.scale)), float(np.median(self.offset))
        return ScoreNormalisation(np.full(n, scale), np.full(n, offset))

    def minimum(self, distance: Floats) -> Floats:
        """Return the least normalised distance over the last axis."""
        return np.asarray((self.scale * distance + self.offset).min(axis=-1))

    def nearest(self, distance: Floats, k: int) -> NearestReferences:
        """Return the `k` references of least normalised distance, from all distances (n,)."""
        normalised = self.scale * distance + self.offset
        rows = np.argsort(normalised, kind="stable")[:k]
        return NearestReferences(rows, normalised[rows])
