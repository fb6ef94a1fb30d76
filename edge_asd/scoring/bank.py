"""Memory banks: the references of one domain, and the least measured distance to them.

Two searches stand behind one protocol. :class:`ExactBank` compares a query with every
reference; :class:`edge_asd.scoring.hnsw.HnswBank` asks an index that has the densities folded into
its space. The minimum is over the measured distance, never over the raw one: the nearest
reference is in general not the minimiser.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import BankSpec, Domain, FileEntry, ScorerSpec
from edge_asd.errors import BundleError, DataError
from edge_asd.scoring.density import References, Rows, checked_rows
from edge_asd.scoring.hnsw import HnswBank, build_index, folds, hnswlib_or_none, open_index
from edge_asd.scoring.normalisation import Gauge, Nearest, bank_gauges

__all__ = [
    "EXACT_BELOW",
    "MIN_RECALL",
    "Bank",
    "ExactBank",
    "open_bank",
    "write_banks",
]

EXACT_BELOW = 10_000  # rows; fewer are searched faster without an index, benchmarks/bank_search.py
MIN_RECALL = 0.99  # of an index worth shipping

_Float = TypeVar("_Float", np.float32, np.float64)

_log = logging.getLogger(__name__)


class Bank(Protocol):
    """The references of one domain, ready to be searched."""

    def __len__(self) -> int:
        """How many references there are."""
        ...

    def minimum(self, query: Rows) -> float:
        """Return the least measured distance from `query`, (dim,), to the references."""
        ...

    def nearest(self, query: Rows, k: int) -> Nearest:
        """Return the `k` references of least measured distance; all, if there are fewer."""
        ...


class ExactBank:
    """Compares a query with every reference.

    Parameters
    ----------
    references : (n, dim) float
        Taken as given.
    gauge : Gauge
        Of each reference.
    spec : ScorerSpec
        Names the distance.

    Raises
    ------
    DataError
        When a reference is not finite.
    """

    def __init__(self, references: Rows, gauge: Gauge, spec: ScorerSpec) -> None:
        self._references = References(references, spec)
        self._gauge = gauge

    def minimum(self, query: Rows) -> float:
        """Return the least measured distance from `query`, (dim,), to the references.

        Raises
        ------
        DataError
            When the query is not finite or of another width than the references.
        """
        return float(self._gauge.minimum(self._references.distances(query[None]))[0])

    def __len__(self) -> int:
        return len(self._references)

    def nearest(self, query: Rows, k: int) -> Nearest:
        """Return the `k` references of least measured distance; all, if there are fewer.

        Raises
        ------
        DataError
            When the query is not finite or of another width than the references.
        """
        return self._gauge.nearest(self._references.distances(query[None])[0], k)


def write_banks(
    bundle_dir: Path,
    stem: str,
    banks: Mapping[Domain, Rows],
    spec: ScorerSpec,
    *,
    held_out: Rows | None = None,
    index_from: int = EXACT_BELOW,
) -> dict[Domain, BankSpec]:
    """Write the banks of one machine and branch into a bundle, and say what was written.

    Parameters
    ----------
    stem : str
        Relative path that every file name begins with, such as ``banks/fan/fkie@near``.
    banks : mapping of domain to (n_d, dim) float
        Rows of unit norm.
    held_out : (m, dim) float, optional
        Rows of unit norm, not in the banks, to measure the recall of an index with.
    index_from : int
        Smallest bank that gets an index. An index is left out, with a warning, when its
        recall is below `MIN_RECALL` or the kind of scorer cannot be folded.

    Raises
    ------
    DataError
        When a bank is empty or holds values that are not finite.
    """
    specs: dict[Domain, BankSpec] = {}
    for domain, gauge in bank_gauges(banks, spec).items():
        rows = np.ascontiguousarray(banks[domain], dtype=np.float32)
        file, gauge_file = f"{stem}.{domain}.npy", f"{stem}.{domain}.gauge.npy"
        (bundle_dir / file).parent.mkdir(parents=True, exist_ok=True)
        np.save(bundle_dir / file, rows, allow_pickle=False)
        columns = np.stack([gauge.scale, gauge.offset], axis=1)
        np.save(bundle_dir / gauge_file, columns, allow_pickle=False)
        index = None
        if len(rows) >= index_from and _can_index(gauge, spec):
            index = build_index(
                rows, gauge, spec, bundle_dir, f"{stem}.{domain}.hnsw", held_out=held_out
            )
            if index.recall < MIN_RECALL:
                _log.warning(
                    "%s: recall %.4f is below %.2f; the index is left out and search is exact",
                    index.file, index.recall, MIN_RECALL,
                )  # fmt: skip
                (bundle_dir / index.file).unlink()
                index = None
        specs[domain] = BankSpec(
            file=file, gauge_file=gauge_file, n=len(rows), dim=rows.shape[1], index=index
        )
    return specs


def open_bank(
    bundle_dir: Path,
    bank: BankSpec,
    domain: Domain,
    scorer: ScorerSpec,
    files: Mapping[str, FileEntry],
    search: Literal["auto", "exact", "hnsw"] = "auto",
) -> Bank:
    """Open a bank of a bundle.

    Parameters
    ----------
    files : mapping of relative path to FileEntry
        Digests of the bundle; an index is loaded only when it matches its own.
    search : {"auto", "exact", "hnsw"}
        ``auto`` uses the index of a bank of `EXACT_BELOW` rows or more that has one.
        An index that is absent or refused is built again in memory, with a warning.

    Raises
    ------
    BundleError
        When a bank or gauge file is missing, or is not what the manifest says.
    """
    rows = _load(bundle_dir / bank.file, np.float32, (bank.n, bank.dim))
    gauge = _gauge(bundle_dir, bank, domain, scorer, rows)
    indexed = bank.index is not None and bank.n >= EXACT_BELOW
    wanted = search == "hnsw" or (search == "auto" and indexed)
    if wanted and _can_index(gauge, scorer):
        index = open_index(rows, gauge, scorer, bundle_dir, bank.index, files)
        return HnswBank(rows, gauge, scorer, index)
    return ExactBank(rows, gauge, scorer)


def _can_index(gauge: Gauge, spec: ScorerSpec) -> bool:
    """Whether an index gives the minimiser here; says why when it does not."""
    if not folds(gauge, spec):
        _log.warning(
            "a %s score of %s distances has no index: exact search", spec.kind, spec.distance
        )
        return False
    if hnswlib_or_none() is None:
        _log.warning("hnswlib is not installed: exact search ('pip install hnswlib' adds it)")
        return False
    return True


def _gauge(
    bundle_dir: Path, bank: BankSpec, domain: Domain, scorer: ScorerSpec, rows: Rows
) -> Gauge:
    if bank.gauge_file is None:
        return bank_gauges({domain: rows}, scorer)[domain]
    path = bundle_dir / bank.gauge_file
    columns = _load(path, np.float64, (bank.n, 2))
    if (columns[:, 0] <= 0).any():
        raise BundleError(f"{path} holds scales that are not positive; export the bundle again")
    return Gauge(columns[:, 0].copy(), columns[:, 1].copy())


def _load(path: Path, dtype: type[_Float], shape: tuple[int, int]) -> NDArray[_Float]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{path} cannot be read ({error}); copy the bundle again") from error
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise BundleError(
            f"{path} does not hold the {dtype.__name__} array {shape} that the manifest says; "
            "copy the bundle again"
        )
    try:
        checked_rows(array)
    except DataError as error:
        raise BundleError(f"{path} is unusable: {error}") from error
    return array
