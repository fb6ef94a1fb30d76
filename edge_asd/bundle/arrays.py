"""Arrays of a bundle: compressed, without pickle, the same bytes each time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from edge_asd.errors import BundleError

__all__ = ["Arrays", "read_arrays", "write_arrays"]

Arrays = Mapping[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an npz; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_arrays(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """Read an npz.

    Parameters
    ----------
    what : the arrays are, for the message

    Raises
    ------
    BundleError
        When the file is missing, damaged, or holds objects instead of numbers.
    """
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (
        *(OSError, ValueError, EOFError, BadZipFile, zlib.error),
        NotImplementedError,  # what zipfile makes of a damaged compression method
    ) as error:
        raise BundleError(
            f"{what} {path} cannot be read ({error}); copy the bundle again"
        ) from error
