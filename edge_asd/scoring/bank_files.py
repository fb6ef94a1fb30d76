"""Memory banks in a bundle: written by the workstation, opened by the device.

A bank of many references has an index (:mod:`edge_asd.scoring.hnsw`), with the score
normalisation folded into its space; others are searched exactly.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.arrays import read_array
from edge_asd.bundle.manifest import BankSpec, FileEntry
from edge_asd.bundle.record import Domain
from edge_asd.errors import BundleError, DataError
from edge_asd.scoring.bank import Bank, ExactBank, ScoreNormalisation
from edge_asd.scoring.density import Rows, checked_rows
from edge_asd.scoring.hnsw import HnswBank, build_index, folds, hnswlib_or_none, open_index
from edge_asd.scoring.kinds import Banks, ReferenceSpec

__all__ = ["EXACT_BELOW", "MIN_RECALL", "Search", "open_bank", "write_banks"]

EXACT_BELOW = 10_000  # rows; fewer are searched faster without an index, benchmarks/bank_search.py
MIN_RECALL = 0.99  # of an index worth shipping

Search = Literal["auto", "exact", "hnsw"]

_Float = TypeVar("_Float", np.float32, np.float64)

_log = logging.getLogger(__name__)


def write_banks(
    bundle_dir: Path,
    stem: str,
    banks: Banks,
    spec: ReferenceSpec,
    *,
    index_from: int = EXACT_BELOW,
) -> dict[Domain, BankSpec]:
    """Write the banks of one machine and branch into a bundle, and say what was written.

    Parameters
    ----------
    stem : str
        Relative path that every file name begins with, such as ``banks/fan/fkie@near``.
    banks : mapping of domain to (n_d, dim) float
        Rows of unit norm.
    index_from : int
        Smallest bank that gets an index. An index is left out, with a warning, when its
        recall is below `MIN_RECALL` or the kind of scorer cannot be folded.

    Raises
    ------
    DataError
        When a bank is empty or holds values that are not finite.
    """
    specs: dict[Domain, BankSpec] = {}
    for domain, normalisation in spec.normalisations(banks).items():
        rows = np.ascontiguousarray(banks[domain], dtype=np.float32)
        file, gauge_file = f"{stem}.{domain}.npy", f"{stem}.{domain}.gauge.npy"
        (bundle_dir / file).parent.mkdir(parents=True, exist_ok=True)
        np.save(bundle_dir / file, rows, allow_pickle=False)
        columns = np.stack([normalisation.scale, normalisation.offset], axis=1)
        np.save(bundle_dir / gauge_file, columns, allow_pickle=False)
        index, bank = None, ExactBank(rows, normalisation, spec.distance)
        if len(rows) >= index_from and _can_index(bank, spec.kind):
            index = build_index(bank, bundle_dir, f"{stem}.{domain}.hnsw")
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
    scorer: ReferenceSpec,
    files: Mapping[str, FileEntry],
    search: Search = "auto",
) -> Bank:
    """Open a bank of a bundle.

    Parameters
    ----------
    files : mapping of relative path to FileEntry
        Digests of the bundle; an index is loaded only when it matches its own.
    search : how
        ``auto`` uses the index of a bank of `EXACT_BELOW` rows or more that has one.
        An index that is absent or refused is built again in memory, with a warning.

    Raises
    ------
    BundleError
        When a file of the bank is missing, or is not what the manifest says.
    """
    rows = _load(bundle_dir / bank.file, np.float32, (bank.n, bank.dim))
    normalisation = _read_normalisation(bundle_dir, bank, domain, scorer, rows)
    exact = ExactBank(rows, normalisation, scorer.distance)
    indexed = bank.index is not None and bank.n >= EXACT_BELOW
    wanted = search == "hnsw" or (search == "auto" and indexed)
    if wanted and _can_index(exact, scorer.kind):
        return HnswBank(exact, open_index(exact, bundle_dir, bank.index, files))
    return exact


def _can_index(bank: ExactBank, kind: str) -> bool:
    """Whether an index gives the minimiser here; says why when it does not."""
    if not folds(bank):
        _log.warning("a %s score of %s distances has no index: exact search", kind, bank.distance)
        return False
    if hnswlib_or_none() is None:
        _log.warning("hnswlib is not installed: exact search ('pip install hnswlib' adds it)")
        return False
    return True


def _read_normalisation(
    bundle_dir: Path, bank: BankSpec, domain: Domain, scorer: ReferenceSpec, rows: Rows
) -> ScoreNormalisation:
    if bank.gauge_file is None:
        return scorer.normalisations({domain: rows})[domain]
    path = bundle_dir / bank.gauge_file
    columns = _load(path, np.float64, (bank.n, 2))
    if (columns[:, 0] <= 0).any():
        raise BundleError(f"{path} holds scales that are not positive; export the bundle again")
    return ScoreNormalisation(columns[:, 0].copy(), columns[:, 1].copy())


def _load(path: Path, dtype: type[_Float], shape: tuple[int, int]) -> NDArray[_Float]:
    array = read_array(path, dtype, shape)
    try:
        checked_rows(array)
    except DataError as error:
        raise BundleError(f"{path} is unusable: {error}") from error
    return array
