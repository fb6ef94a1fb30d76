"""Distances between embeddings, and how dense a bank is around each of its references.

``rho(x)``, the density of reference x, is the mean (or sum) of the distances to its K
nearest other references of the same domain: large where references are sparse. The
functions take vectors as given; :func:`normalise_rows` is applied by their callers.
``docs/scoring.md`` has the definitions and their edge cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import DataError

__all__ = [
    "NO_NEIGHBOUR",
    "SMALLEST_DENSITY",
    "Distance",
    "LeftOut",
    "Neighbourhood",
    "References",
    "checked_queries",
    "checked_rows",
    "leave_one_out",
    "normalise_rows",
    "reference_density",
    "row_blocks",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.floating]
Distance = Literal["euclidean", "squared-euclidean", "cosine"]

SMALLEST_DENSITY = 1e-6  # floor in a bank of duplicates: 16 rounding steps of a float32 near 1
NO_NEIGHBOUR = 1.0  # density where no bank has a neighbour to measure it with
_SAME = 1e-14  # squared distance, relative to the squared norms, below float32 resolution
_BLOCK_ROWS = 512  # rows of one block of distances: 80 MB against 20,000 references


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """How the density of a reference is measured."""

    n_neighbours: int  # at most; 0: it is not measured
    distance: Distance
    aggregate: Literal["mean", "sum"] = "mean"
    floor: float = 0.1  # fraction of the bank's median density


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Some rows of a bank, each compared with the bank that remains without it."""

    rows: slice
    distance: Floats  # (n_rows, n - 1), to the references that remain
    density: Floats  # (n_rows, n - 1), of those references in the bank that remains


def normalise_rows(rows: Rows) -> NDArray[np.float32]:
    """Return `rows` scaled to unit L2 norm.

    Parameters
    ----------
    rows : (..., dim) float

    Raises
    ------
    DataError
        When a row is not finite or has no direction (all zeros).
    """
    return _unit(checked_rows(rows)).astype(np.float32)


def checked_rows(rows: Rows) -> Floats:
    """Return `rows` in float64 after checking that every value is finite.

    Raises
    ------
    DataError
        When one is not.
    """
    exact = np.asarray(rows, dtype=np.float64)
    finite = np.isfinite(exact).reshape(-1, exact.shape[-1]).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{np.count_nonzero(~finite)} of {finite.size} embeddings are not finite, the first in "
            f"row {finite.argmin()}: check the recordings and the encoder"
        )
    return exact


def checked_queries(queries: Rows, dim: int) -> Floats:
    """Return `queries` in float64 after checking that they can be compared with a bank.

    Raises
    ------
    DataError
        When one is not finite, or they are not (m, dim).
    """
    if np.ndim(queries) != 2 or np.shape(queries)[1] != dim:
        raise DataError(
            f"embeddings have the shape {np.shape(queries)}, the bank's are {dim} wide: "
            "they come from another encoder"
        )
    return checked_rows(queries)


class References:
    """Rows of a bank, prepared for many distance computations.

    Parameters
    ----------
    rows : (n, dim) float

    Raises
    ------
    DataError
        When a row is not finite, or has no direction and the distance is cosine.
    """

    def __init__(self, rows: Rows, distance: Distance) -> None:
        self._prepare, self._finish = _DISTANCES[distance]
        self._rows = self._prepare(checked_rows(rows))
        self._size = np.square(self._rows).sum(axis=1)

    def __len__(self) -> int:
        return len(self._rows)

    def distances(self, queries: Rows) -> Floats:
        """Return the distance from every query to every row.

        Distances that float32 rows cannot resolve are exactly 0, so duplicates are equal.

        Parameters
        ----------
        queries : (m, dim) float

        Returns
        -------
        (m, n) float64

        Raises
        ------
        DataError
            When a query is not finite, or of another width than the rows.
        """
        exact = checked_queries(queries, self._rows.shape[1])
        return self._distances(self._prepare(exact))

    def nearest_others(self, k: int) -> tuple[Floats, NDArray[np.intp]]:
        """Return the sorted distances from each row to its k nearest others, and which they are.

        Returns
        -------
        (n, k) float64, (n, k) intp
        """
        distance = np.empty((len(self), k))
        index = np.empty((len(self), k), dtype=np.intp)
        for rows in row_blocks(len(self)):
            block = self._distances(self._rows[rows])
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
            nearest = np.argpartition(block, k - 1, axis=1)[:, :k]
            values = np.take_along_axis(block, nearest, axis=1)
            order = np.argsort(values, axis=1)
            distance[rows] = np.take_along_axis(values, order, axis=1)
            index[rows] = np.take_along_axis(nearest, order, axis=1)
        return distance, index

    def _distances(self, prepared: Floats) -> Floats:
        squared = (-2.0 * prepared) @ self._rows.T
        squared += self._size
        squared += np.square(prepared).sum(axis=1)[:, None]
        squared[squared < _SAME * self._size] = 0.0
        return self._finish(squared)


def reference_density(
    references: Rows, around: Neighbourhood, *, lone: float = NO_NEIGHBOUR
) -> Floats:
    """Return rho of each reference: how far its nearest others of the same bank are.

    Parameters
    ----------
    references : (n, dim) float
        The bank of one domain.
    lone : float
        Density of a reference without neighbours.

    Returns
    -------
    (n,) float64
        At least ``around.floor`` times their median, and `SMALLEST_DENSITY`.
    """
    k = min(around.n_neighbours, len(references) - 1)
    if k <= 0:
        return np.full(len(references), lone)
    nearest, _ = References(references, around.distance).nearest_others(k)
    return _floored(_AGGREGATES[around.aggregate](nearest, axis=1), around)


def leave_one_out(
    references: Rows, around: Neighbourhood, *, lone: float = NO_NEIGHBOUR
) -> Iterator[LeftOut]:
    """Yield, in blocks of rows, the bank as each row sees it when it is not part of it.

    Taking out row i changes the density of reference j only when i is one of the K nearest
    of j; then the (K+1)-th takes its place. So one sorted list of K+1 distances per reference
    describes all n banks of n - 1 references. A bank of one row yields nothing.
    """
    n = len(references)
    if n < 2:
        return
    k = min(around.n_neighbours, n - 2)
    bank = References(references, around.distance)
    distance_of, index_of = bank.nearest_others(k + 1)
    aggregate = _AGGREGATES[around.aggregate]
    kept = aggregate(distance_of[:, :k], axis=1) if k else np.full(n, lone)
    # Of column p: the density of reference j after its p-th neighbour has been taken out.
    replaced = [aggregate(np.delete(distance_of, p, axis=1), axis=1) for p in range(k)]
    for rows in row_blocks(n):
        distance = bank.distances(references[rows])
        density = np.repeat(kept[None], len(distance), axis=0)
        for p in range(k):
            here = (index_of[:, p] >= rows.start) & (index_of[:, p] < rows.stop)
            density[index_of[here, p] - rows.start, here] = replaced[p][here]
        remains = np.arange(n)[rows, None] != np.arange(n)
        distance, density = (a[remains].reshape(-1, n - 1) for a in (distance, density))
        yield LeftOut(rows, distance, _floored(density, around) if k else density)


def row_blocks(n: int) -> Iterator[slice]:
    """Yield slices that cover `n` rows, each small enough for a block of distances."""
    for start in range(0, n, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, n))


def _floored(density: Floats, around: Neighbourhood) -> Floats:
    """Densities of one bank per row, raised to the floor of that bank."""
    floor = around.floor * np.median(density, axis=-1, keepdims=True)
    return np.maximum(density, np.maximum(floor, SMALLEST_DENSITY))


def _unit(rows: Floats) -> Floats:
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not norm.all():
        raise DataError(
            f"{np.count_nonzero(norm == 0)} of {norm.size} embeddings are all zeros and have no "
            "direction: check the recordings and the encoder"
        )
    return np.asarray(rows / norm)


_Distance = tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]

# What is done to the rows, and to the squared Euclidean distance of what comes of them.
_DISTANCES: Mapping[str, _Distance] = {
    "euclidean": (lambda rows: rows, np.sqrt),
    "squared-euclidean": (lambda rows: rows, lambda squared: squared),
    "cosine": (_unit, lambda squared: squared / 2.0),  # 1 - cos
}
_AGGREGATES: Mapping[str, Callable[..., Floats]] = {"mean": np.mean, "sum": np.sum}
