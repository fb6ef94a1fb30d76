"""Memory banks in a bundle: written by the workstation, opened by the device.

They are searched exactly, or where a profile asks for it by an index that is built when a bank of
one network is opened (:mod:`edge_asd.scoring.hnsw`). The normalisation of an ensemble's banks is
not stored: it is computed when they are opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.arrays import read_array
from edge_asd.bundle.manifest import BankSpec
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
from edge_asd.scoring.hnsw import indexed
from edge_asd.scoring.kinds import ReferenceSpec

__all__ = ["Search", "open_banks", "write_banks"]

Search = Literal["auto", "exact", "hnsw"]  # auto: exact

_Float = TypeVar("_Float", np.float32, np.float64)


def write_banks(
    bundle_dir: Path,
    stem: str,
    references: ReferenceSets,
    spec: ReferenceSpec,
) -> dict[Domain, BankSpec]:
    """Write the banks of one machine and branch into a bundle, and say what was written.

    Parameters
    ----------
    stem : str
        Relative path that every file name begins with, such as ``banks/fan/fkie@near``.
    references : by domain

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
        specs[domain] = written.model_copy(update={"gauge_file": f"{start}.gauge.npy"})
    return specs


def open_banks(
    bundle_dir: Path,
    banks: Mapping[Domain, BankSpec],
    scorer: ReferenceSpec,
    search: Search = "auto",
    *,
    members: int = 1,
) -> dict[Domain, Bank]:
    """Open the banks of one machine and branch of a bundle.

    Parameters
    ----------
    search : how
        ``hnsw`` builds an index of each bank, or says why it cannot.
    members : networks of the extractor

    Raises
    ------
    BundleError
        When a file of the banks is missing, or is not what the manifest says.
    """
    if members == 1:
        return {
            domain: _open_bank(bundle_dir, bank, domain, scorer, search)
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
    search: Search,
) -> Bank:
    """Open the bank of one network and domain."""
    rows = _load(bundle_dir / bank.file, np.float32, (bank.n, bank.dim))
    normalisation = _read_normalisation(bundle_dir, bank, domain, scorer, rows)
    exact = ExactBank(rows, normalisation, scorer.distance)
    return indexed(exact) if search == "hnsw" else exact


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
