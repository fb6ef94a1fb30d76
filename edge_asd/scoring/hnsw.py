"""An HNSW index whose nearest neighbour is the minimiser of the normalised distance.

``s(x) |y - x|^2 + b(x)`` is the inner product of [y, |y|^2, 1] with
[-2 s x, s, s |x|^2 + b]. Its minimum is therefore a maximum inner product, and with the
references padded to one norm a nearest neighbour by angle: one query of the index returns
the reference that minimises the normalised distance, whatever its rank by raw distance. Two
blocks of coordinates, in which every query is zero, make that search work: the padding, and
the reference itself, which makes neighbours in the graph neighbours in sound.
``docs/scoring.md`` derives it.

The index is built in memory from the references, when a profile asks for it; a bundle has none,
since hnswlib crashes on damaged files and believes those of another width. The few references
that it returns are measured again, exactly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.scoring.bank import Bank, ExactBank, NearestReferences, ScoreNormalisation
from edge_asd.scoring.density import Floats, References, Rows, checked_queries, normalise_rows

__all__ = ["MIN_RECALL", "HnswBank", "build_index", "folds", "indexed"]

M = 32  # links per reference
EF_CONSTRUCTION = 200
EF_SEARCH = 256
N_CANDIDATES = 10  # references of one answer that are measured exactly
N_RECALL_QUERIES = 500
MIN_RECALL = 0.99  # of an index worth searching
_GRAPH_WEIGHT = 1.0  # of the reference block, in units of the largest folded norm
_SEED = 0  # with one thread, the same rows give the same graph

_log = logging.getLogger(__name__)


class HnswBank(Bank):
    """Asks an index for the minimiser, then measures its answer exactly.

    A minimum is exact when the minimiser is among the index's `N_CANDIDATES` nearest. For
    references of one network alone: those of an ensemble are searched exactly.

    Parameters
    ----------
    bank : of float32 references
    index : hnswlib.Index
        Of that bank, from :func:`build_index`.
    """

    def __init__(self, bank: ExactBank, index: Any) -> None:
        super().__init__(bank.normalisation)
        self._bank = bank
        self._index = index

    def minima(self, queries: Rows) -> Floats:
        return np.array([self.nearest(query[None], 1)[0][1] for query in queries])

    def nearest(self, queries: Rows, k: int) -> NearestReferences:
        """Return the `k` references of least normalised distance among those found."""
        rows = self._candidates(queries, max(k, N_CANDIDATES))
        found = self._bank.some(rows).nearest(queries, k)
        return [(int(rows[i]), distance) for i, distance in found]

    def _candidates(self, queries: Rows, k: int) -> NDArray[np.intp]:
        exact = checked_queries(queries, self._bank.references.shape[1])
        size = np.square(exact).sum(axis=1, keepdims=True)
        unseen = np.zeros((1, self._index.dim - exact.shape[1] - 2))
        folded = np.concatenate([exact, size, np.ones_like(size), unseen], axis=1)
        k = min(k, len(self), EF_SEARCH)  # it cannot find more than it looks at
        try:
            labels, _ = self._index.knn_query(folded.astype(np.float32), k=k, num_threads=1)
        except RuntimeError:  # the graph led to fewer than k references, as among duplicates
            return np.arange(len(self))
        return np.asarray(labels[0], dtype=np.intp)


def folds(bank: ExactBank) -> bool:
    """Whether the least normalised distance is an inner product with a function of the query.

    A Euclidean distance is one only when squared, and squaring keeps the minimiser only
    while nothing is added to the distance: not for ``varmin``.
    """
    return bank.distance != "euclidean" or not bank.normalisation.offset.any()


def indexed(bank: ExactBank) -> Bank:
    """Return a bank that is searched by an index; with a warning that says why, the bank itself.

    Recall is the share of queries for which the index returns the minimiser of the exact
    search. The queries are references, moved in a random direction as far as their nearest
    neighbour is away.

    Parameters
    ----------
    bank : of float32 references of unit norm
    """
    if not folds(bank):
        _log.warning("a score with an offset of Euclidean distances has no index: exact search")
        return bank
    try:
        found = HnswBank(bank, build_index(bank))
    except ImportError:  # it has no wheels, so that small devices may lack it
        _log.warning("hnswlib is not installed: exact search ('pip install hnswlib' adds it)")
        return bank
    queries = _recall_queries(bank.references)
    equal = np.isclose(found.minima(queries), bank.minima(queries), rtol=1e-9, atol=1e-12)
    if (recall := float(np.mean(equal))) < MIN_RECALL:
        _log.warning("an index of recall %.4f, below %.2f: exact search", recall, MIN_RECALL)
        return bank
    return found


def build_index(bank: ExactBank) -> Any:
    """Return an ``hnswlib.Index`` of a bank; `folds` must hold.

    10,000 references of 128 dimensions take 2 s, of 768 dimensions 20 s; 1,000 a tenth.

    Raises
    ------
    ImportError
        When hnswlib is not installed.
    """
    import hnswlib

    folded = _fold(bank)
    index = hnswlib.Index(space="cosine", dim=folded.shape[1])
    index.init_index(
        max_elements=len(folded), M=M, ef_construction=EF_CONSTRUCTION, random_seed=_SEED
    )
    # In random order: rows sorted by clip or class would leave clusters without links between.
    order = np.random.default_rng(_SEED).permutation(len(folded))
    index.add_items(folded[order], order, num_threads=1)
    index.set_ef(EF_SEARCH)
    return index


def _fold(bank: ExactBank) -> NDArray[np.float32]:
    """Unit vectors whose inner product with [y, |y|^2, 1, 0, ...] falls with the distance."""
    x = bank.references.astype(np.float64)
    scale, offset = _SQUARED[bank.distance](bank.normalisation)
    size = np.square(x).sum(axis=1)
    product = np.column_stack([2.0 * scale[:, None] * x, -scale, -(scale * size + offset)])
    squared_norm = np.square(product).sum(axis=1)
    largest = squared_norm.max()
    padding = np.sqrt(largest - squared_norm)
    graph = _GRAPH_WEIGHT * np.sqrt(largest) * normalise_rows(x)
    return normalise_rows(np.column_stack([product, padding, graph]))


def _recall_queries(references: Rows) -> NDArray[np.float32]:
    """References moved by the distance of their nearest neighbour; (n_queries, dim)."""
    rng = np.random.default_rng(_SEED)
    n = min(N_RECALL_QUERIES, len(references))
    rows = np.sort(rng.choice(len(references), size=n, replace=False))
    distance = References(references, "euclidean").distances(references[rows])
    distance[np.arange(n), rows] = np.inf
    step = normalise_rows(rng.standard_normal((n, references.shape[1])))
    reach = distance.min(axis=1) if len(references) > 1 else np.ones(n)
    return normalise_rows(references[rows] + reach[:, None] * step)


# The scale and offset of the squared Euclidean distance between unit vectors.
_SQUARED: Mapping[str, Callable[[ScoreNormalisation], tuple[Floats, Floats]]] = {
    "euclidean": lambda one: (one.scale**2, one.offset),  # (scale D)^2, offset is 0
    "squared-euclidean": lambda one: (one.scale, one.offset),
    "cosine": lambda one: (one.scale / 2.0, one.offset),  # 1 - cos = D^2 / 2
}
