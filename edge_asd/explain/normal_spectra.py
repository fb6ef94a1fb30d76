"""How the references of a machine sound: band levels of each, for explanations.

One npz per machine holds, for each domain with n references and each branch,

=====================  ===============================================  =======
``mean/<domain>``      (n, 2, N_BANDS) mean over time of the levels     float16
``spread/<domain>``    (n, 2, N_BANDS) standard deviation over time     float16
``scores/<branch>``    (m,) scores that normal windows get, optional    float32
=====================  ===============================================  =======

Levels are in dB of full scale, of near and far. The references of a domain come in the
order of its memory banks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.manifest import Domain
from edge_asd.errors import BundleError
from edge_asd.explain.spectrogram import N_BANDS, spectrograph

__all__ = ["DomainSpectra", "NormalSpectra", "measure_spectra", "read_spectra", "write_spectra"]


@dataclass(frozen=True, slots=True, eq=False)
class DomainSpectra:
    """Spectra of the references of one domain, each (n, 2, N_BANDS) float16."""

    mean_db: NDArray[np.float16]
    spread_db: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.mean_db)

    @classmethod
    def joined(cls, parts: Sequence[DomainSpectra]) -> DomainSpectra:
        """Return those of all parts, in order."""
        return cls(
            np.concatenate([part.mean_db for part in parts]),
            np.concatenate([part.spread_db for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class NormalSpectra:
    """What normal sounds like, besides the memory banks."""

    domains: Mapping[Domain, DomainSpectra]
    scores: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # by branch

    def joined(self, domain: Domain, more: DomainSpectra) -> NormalSpectra:
        """Return these with the spectra of further references behind those of a domain."""
        known = [self.domains[domain]] if domain in self.domains else []
        joined = DomainSpectra.joined([*known, more])
        return replace(self, domains={**self.domains, domain: joined})


def measure_spectra(windows: Iterable[NDArray[np.float32]], sample_rate_hz: int) -> DomainSpectra:
    """Return the spectra of windows or clips, each (2, n_samples) float32; at least one."""
    instrument = spectrograph(sample_rate_hz)
    means, spreads = [], []
    for audio in windows:
        cells = instrument.cells(instrument.levels(audio))
        means.append(cells.mean(axis=-1).astype(np.float16))
        spreads.append(cells.std(axis=-1).astype(np.float16))
    return DomainSpectra(np.stack(means), np.stack(spreads))


def write_spectra(path: Path, spectra: NormalSpectra) -> None:
    """Write a file; the same spectra give the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    for domain, own in spectra.domains.items():
        arrays |= {f"mean/{domain}": own.mean_db, f"spread/{domain}": own.spread_db}
    arrays |= {f"scores/{branch}": scores for branch, scores in spectra.scores.items()}
    write_arrays(path, arrays)


def read_spectra(path: Path) -> NormalSpectra:
    """Read what :func:`write_spectra` wrote.

    Raises
    ------
    BundleError
        When the file is missing, damaged, or holds something else.
    """
    by_kind: dict[str, dict[str, NDArray[Any]]] = {"mean": {}, "spread": {}, "scores": {}}
    for name, array in read_arrays(path, "normal spectra").items():
        kind, _, of = name.partition("/")
        if kind not in by_kind or not of or not _fits(kind, array):
            raise BundleError(
                f"normal spectra {path} hold {array.dtype} {array.shape} as {name!r}, which is "
                "no part of them: export the bundle again"
            )
        by_kind[kind][of] = array
    means, spreads = by_kind["mean"], by_kind["spread"]
    if not means or means.keys() - {"source", "target"} or _shapes(means) != _shapes(spreads):
        raise BundleError(
            f"normal spectra {path} hold means of {_shapes(means)} and spreads of "
            f"{_shapes(spreads)}, expected the same of source or target: export the bundle again"
        )
    return NormalSpectra(
        {cast(Domain, d): DomainSpectra(means[d], spreads[d]) for d in sorted(means)},
        by_kind["scores"],
    )


def _fits(kind: str, array: NDArray[Any]) -> bool:
    if kind == "scores":
        fits = array.dtype == np.float32 and array.ndim == 1
    else:
        fits = array.dtype == np.float16 and array.shape[1:] == (2, N_BANDS) and len(array) > 0
    return fits and bool(np.isfinite(array).all())


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    return {name: len(array) for name, array in sorted(arrays.items())}
