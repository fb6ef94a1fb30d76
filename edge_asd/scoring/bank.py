"""Memory banks: the references of one domain, and the least normalised distance to them.

The score of embedding y against the bank of one domain is ::

    min over references x of  scale(x) * D(y, x) + offset(x)

:mod:`edge_asd.scoring.kinds` says how each kind of scorer chooses scale and offset. The
minimum is over the normalised distance, never over the raw one: the nearest reference is in
general not the minimiser. The bank of an ensemble is in :mod:`edge_asd.scoring.ensemble`.
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

__all__ = [
    "Bank",
    "ExactBank",
    "JoinedBank",
    "NearestReferences",
    "ScoreNormalisation",
    "nearest_first",
]

NearestReferences = list[tuple[int, float]]  # row and normalised distance, nearest first


@dataclass(frozen=True, slots=True, eq=False)
class ScoreNormalisation:
    """Scale and offset of the distance to each reference; shape (..., n), float64.

    Of an ensemble they are (members, n), with an infinite offset where a member does not know
    a reference: no distance to it is the least one.
    """

    scale: Floats
    offset: Floats

    @classmethod
    def joined(cls, parts: Sequence[ScoreNormalisation]) -> ScoreNormalisation:
        """Return that of the references of all parts, in order."""
        return cls(
            np.concatenate([part.scale for part in parts], axis=-1),
            np.concatenate([part.offset for part in parts], axis=-1),
        )

    def typical(self, n: int) -> ScoreNormalisation:
        """Return that of `n` references, each as a typical one of these; all members know them."""
        known = np.isfinite(self.offset)
        scale, offset = (
            np.nanmedian(np.where(known, values, np.nan), axis=-1, keepdims=True)
            for values in (self.scale, self.offset)
        )
        return ScoreNormalisation(np.repeat(scale, n, axis=-1), np.repeat(offset, n, axis=-1))

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

    members = 1  # networks whose embeddings it holds; more: an ensemble

    def __init__(self, normalisation: ScoreNormalisation) -> None:
        self.normalisation = normalisation

    def __len__(self) -> int:
        return int(self.normalisation.scale.shape[-1])

    @abstractmethod
    def nearest(self, queries: Rows, k: int) -> NearestReferences:
        """Return the `k` references of least normalised distance; all, if there are fewer.

        Parameters
        ----------
        queries : (members, dim) float
            What each member makes of one window.
        """

    @abstractmethod
    def minima(self, queries: Rows) -> Floats:
        """Return the least normalised distance from each query to the references.

        Parameters
        ----------
        queries : (m, dim) float
            Of an ensemble (members, dim), one for each member, which alone it is compared with.

        Returns
        -------
        (m,) float64
        """


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
        minima = np.empty(len(queries))
        for rows in row_blocks(len(queries)):
            distance = self._prepared.distances(queries[rows])
            minima[rows] = self.normalisation.minimum(distance)
        return minima

    def nearest(self, queries: Rows, k: int) -> NearestReferences:
        return nearest_first(self.normalised(queries)[0], k)

    def normalised(self, queries: Rows) -> Floats:
        """Return the normalised distance from each query to every reference, (m, n)."""
        distance = self._prepared.distances(queries)
        return self.normalisation.scale * distance + self.normalisation.offset

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
        self.members = parts[0].members

    def minima(self, queries: Rows) -> Floats:
        return np.asarray(np.min([part.minima(queries) for part in self._parts], axis=0))

    def nearest(self, queries: Rows, k: int) -> NearestReferences:
        found, before = [], 0
        for part in self._parts:
            found += [(before + row, distance) for row, distance in part.nearest(queries, k)]
            before += len(part)
        return sorted(found, key=itemgetter(1))[:k]


def nearest_first(normalised: Floats, k: int) -> NearestReferences:
    """Return the `k` least of some normalised distances (n,), and their rows."""
    rows = np.argsort(normalised, kind="stable")[:k]
    return list(zip(rows.tolist(), normalised[rows].tolist(), strict=True))
