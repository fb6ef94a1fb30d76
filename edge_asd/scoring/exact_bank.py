"""The references of one domain, each compared with a query."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_asd.scoring.density import Distance, Floats, References, Rows, row_blocks
from edge_asd.scoring.normalisation import NearestReferences, ScoreNormalisation

__all__ = ["ExactBank"]


class ExactBank:
    """Compares a query with every reference.

    Every method raises `DataError` when a query is not finite, or of another width than the
    references.

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
        self.references = references
        self.normalisation = normalisation
        self.distance = distance

    def __len__(self) -> int:
        return len(self.references)

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
        """Return the least normalised distance from `query`, (dim,), to the references."""
        return float(self.minima(query[None])[0])

    def nearest(self, query: Rows, k: int) -> NearestReferences:
        """Return the `k` references of least normalised distance; all, if there are fewer."""
        return self.normalisation.nearest(self._prepared.distances(query[None])[0], k)

    def some(self, rows: NDArray[np.intp]) -> ExactBank:
        """Return a bank of some of the references."""
        normalisation = ScoreNormalisation(
            self.normalisation.scale[rows], self.normalisation.offset[rows]
        )
        return ExactBank(self.references[rows], normalisation, self.distance)
