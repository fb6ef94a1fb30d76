"""Memory banks: the references of one domain, and the least normalised distance to them.

The score of embedding y against the bank of one domain is ::

    min over references x of  scale(x) * D(y, x) + offset(x)

:mod:`edge_asd.scoring.kinds` says how each kind of scorer chooses scale and offset. The
minimum is over the normalised distance, never over the raw one: the nearest reference is in
general not the minimiser.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from edge_asd.scoring.density import Distance, Floats, References, Rows, row_blocks

__all__ = ["Bank", "ExactBank", "JoinedBank", "NearestReferences", "ScoreNormalisation"]

NearestReferences = list[tuple[int, float]]  # row and normalised distance, nearest first


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


class Bank(ABC):
    """The references of one domain, ready to be searched.

    Searching raises `DataError` when a query is not finite, or of another width than the
    references.

    Parameters
    ----------
    normalisation : of the distance to each reference
    """

    def __init__(self, normalisation: ScoreNormalisation) -> None:
        self.normalisation = normalisation

    def __len__(self) -> int:
        return len(self.normalisation.scale)

    @abstractmethod
    def nearest(self, query: Rows, k: int) -> NearestReferences:
        """Return the `k` references of least normalised distance; all, if there are fewer."""

    def minimum(self, query: Rows) -> float:
        """Return the least normalised distance from `query`, (dim,), to the references."""
        return self.nearest(query, 1)[0][1]


class ExactBank(Bank):
    """Compares a query with every reference.

    Parameters
    ----------
    references : (n, dim) float
        Taken as given.
    normalisation : of the distance to each reference
    distance : between embeddings
    """

    def __init__(
        self, references: Rows, normalisation: ScoreNormalisation, distance: Distance
    ) -> None:
        super().__init__(normalisation)
        self.references = references
        self.distance = distance

    @cached_property
    def _prepared(self) -> References:
        return References(self.references, self.distance)

    def minima(self, queries: Rows) -> Floats:
        """Return the least normalised distance from each query to the references.

        Parameters
        ----------
        queries : (m, dim) float

        Returns
        -------
        (m,) float64
        """
        minima = np.empty(len(queries))
        for rows in row_blocks(len(queries)):
            distance = self._prepared.distances(queries[rows])
            minima[rows] = self.normalisation.minimum(distance)
        return minima

    def minimum(self, query: Rows) -> float:
        return float(self.minima(query[None])[0])  # without sorting

    def nearest(self, query: Rows, k: int) -> NearestReferences:
        distance = self._prepared.distances(query[None])[0]
        normalised = self.normalisation.scale * distance + self.normalisation.offset
        rows = np.argsort(normalised, kind="stable")[:k]
        return list(zip(rows.tolist(), normalised[rows].tolist(), strict=True))

    def some(self, rows: NDArray[np.intp]) -> ExactBank:
        """Return a bank of some of the references."""
        normalisation = ScoreNormalisation(
            self.normalisation.scale[rows], self.normalisation.offset[rows]
        )
        return ExactBank(self.references[rows], normalisation, self.distance)


class JoinedBank(Bank):
    """Banks of one domain as if they were one, their references in order."""

    def __init__(self, parts: Sequence[Bank]) -> None:
        super().__init__(ScoreNormalisation.joined([part.normalisation for part in parts]))
        self._parts = tuple(parts)

    def minimum(self, query: Rows) -> float:
        return min(part.minimum(query) for part in self._parts)

    def nearest(self, query: Rows, k: int) -> NearestReferences:
        found, before = [], 0
        for part in self._parts:
            found += [(before + row, distance) for row, distance in part.nearest(query, k)]
            before += len(part)
        return sorted(found, key=itemgetter(1))[:k]
