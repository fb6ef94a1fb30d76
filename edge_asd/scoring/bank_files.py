"""Memory banks in a bundle: written by the workstation, opened by the device.

A bank of many references has an index (:mod:`edge_asd.scoring.hnsw`), with the score
normalisation folded into its space; others are searched exactly, and those of ensembles always.
An ensemble's normalisation is not stored: it is computed when the banks are opened.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.arrays import read_array
from edge_asd.bundle.manifest import BankSpec, FileEntry, IndexSpec
from edge_asd.bundle.record import Domain
from edge_asd.errors import BundleError, DataError
from edge_asd.scoring.bank import Bank, ExactBank, ScoreNormalisation
from edge_asd.scoring.density import Rows, checked_rows
from edge_asd.scoring.ensemble import (
    KNOWN_TO_ALL,
    ReferenceSet,
    ReferenceSets,
    normalisations,
    open_exact,
)
from edge_asd.scoring.hnsw import HnswBank, build_index, folds, hnswlib_or_none, open_index
from edge_asd.scoring.kinds import ReferenceSpec

__all__ = ["EXACT_BELOW", "MIN_RECALL", "Search", "open_banks", "write_banks"]

EXACT_BELOW = 10_000  # rows; fewer are searched faster without an index, benchmarks/bank_search.py
MIN_RECALL = 0.99  # of an index worth shipping

Search = Literal["auto", "exact", "hnsw"]

_Float = TypeVar("_Float", np.float32, np.float64)

_log = logging.getLogger(__name__)


def write_banks(
    bundle_dir: Path,
    stem: str,
    references: ReferenceSets,
    spec: ReferenceSpec,
    *,
    index_from: int = EXACT_BELOW,
) -> dict[Domain, BankSpec]:
    """Write the banks of one machine and branch into a bundle, and say what was written.

    Parameters
    ----------
    stem : str
        Relative path that every file name begins with, such as ``banks/fan/fkie@near``.
    references : by domain
    index_from : int
        Smallest bank that gets an index. An index is left out, with a warning, when its
        recall is below `MIN_RECALL` or the kind of scorer cannot be folded.

    Raises
    ------
    DataError
        When a bank is empty or holds values that are not finite, or a member of an ensemble
        knows no reference.
    """
    found = normalisations(references, spec)
    specs: dict[Domain, BankSpec] = {}
    for domain, own in references.items():
        rows = np.ascontiguousarray(own.rows, dtype=np.float32).reshape(len(own), -1)
        file = f"{stem}.{domain}.npy"
        (bundle_dir / file).parent.mkdir(parents=True, exist_ok=True)
        np.save(bundle_dir / file, rows, allow_pickle=False)
        written = BankSpec(file=file, n=len(rows), dim=rows.shape[1])
        start = f"{stem}.{domain}"
        if own.members > 1:
            more = {"folds_file": f"{start}.folds.npy"}
            np.save(bundle_dir / more["folds_file"], own.folds.astype(np.int8), allow_pickle=False)
            specs[domain] = written.model_copy(update=more)
            continue
        columns = np.stack([found[domain].scale, found[domain].offset], axis=1)
        np.save(bundle_dir / f"{start}.gauge.npy", columns, allow_pickle=False)
        index = None
        bank = ExactBank(rows, found[domain], spec.distance)
        if len(rows) >= index_from and _can_index(bank, spec.kind):
            index = _written_index(bank, bundle_dir, f"{start}.hnsw")
        specs[domain] = written.model_copy(
            update={"gauge_file": f"{start}.gauge.npy", "index": index}
        )
    return specs


def open_banks(
    bundle_dir: Path,
    banks: Mapping[Domain, BankSpec],
    scorer: ReferenceSpec,
    files: Mapping[str, FileEntry],
    search: Search = "auto",
    *,
    members: int = 1,
) -> dict[Domain, Bank]:
    """Open the banks of one machine and branch of a bundle.

    Parameters
    ----------
    files : mapping of relative path to FileEntry
        Digests of the bundle; an index is loaded only when it matches its own.
    search : how
        ``auto`` uses the index of a bank of `EXACT_BELOW` rows or more that has one.
        An index that is absent or refused is built again in memory, with a warning.
    members : networks of the extractor

    Raises
    ------
    BundleError
        When a file of the banks is missing, or is not what the manifest says.
    """
    if members == 1:
        return {
            domain: _open_bank(bundle_dir, bank, domain, scorer, files, search)
            for domain, bank in banks.items()
        }
    references = {
        domain: _read_references(bundle_dir, bank, members) for domain, bank in banks.items()
    }
    try:
        return open_exact(references, scorer)
    except DataError as error:
        first = next(iter(banks.values()))
        raise BundleError(f"{bundle_dir / first.file} is unusable: {error}") from error


def _read_references(bundle_dir: Path, bank: BankSpec, members: int) -> ReferenceSet:
    """The references of an ensemble, and which member does not know each of them."""
    rows = _load(bundle_dir / bank.file, np.float32, (bank.n, bank.dim))
    path = bundle_dir / (bank.folds_file or "")
    folds = read_array(path, np.int8, (bank.n,))
    if not ((folds >= KNOWN_TO_ALL) & (folds < members)).all():
        raise BundleError(
            f"{path} holds folds from {folds.min()} to {folds.max()}, expected {KNOWN_TO_ALL} to "
            f"{members - 1}: export the bundle again"
        )
    return ReferenceSet(rows.reshape(bank.n, members, -1), folds)


def _open_bank(
    bundle_dir: Path,
    bank: BankSpec,
    domain: Domain,
    scorer: ReferenceSpec,
    files: Mapping[str, FileEntry],
    search: Search,
) -> Bank:
    """Open the bank of one network and domain."""
    rows = _load(bundle_dir / bank.file, np.float32, (bank.n, bank.dim))
    normalisation = _read_normalisation(bundle_dir, bank, domain, scorer, rows)
    exact = ExactBank(rows, normalisation, scorer.distance)
    indexed = bank.index is not None and bank.n >= EXACT_BELOW
    wanted = search == "hnsw" or (search == "auto" and indexed)
    if wanted and _can_index(exact, scorer.kind):
        return HnswBank(exact, open_index(exact, bundle_dir, bank.index, files))
    return exact


def _written_index(bank: ExactBank, bundle_dir: Path, file: str) -> IndexSpec | None:
    """Write an index; None, with a warning, when it finds too little."""
    index = build_index(bank, bundle_dir, file)
    if index.recall >= MIN_RECALL:
        return index
    _log.warning(
        "%s: recall %.4f is below %.2f; the index is left out and search is exact",
        file, index.recall, MIN_RECALL,
    )  # fmt: skip
    (bundle_dir / file).unlink()
    return None


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
