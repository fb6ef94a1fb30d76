"""Files of arrays in a bundle: without pickle, the same bytes each time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from edge_asd.errors import BundleError

__all__ = ["Arrays", "read_array", "read_arrays", "write_arrays"]

Arrays = Mapping[str, NDArray[Any]]

_Number = TypeVar("_Number", np.float32, np.float64, np.int8)


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
    with (
        _reading(f"{what} {path}"),
        path.open("rb") as file,
        NpzFile(file, allow_pickle=False) as arrays,
    ):
        content = dict(arrays)
    return content


def read_array(path: Path, dtype: type[_Number], shape: tuple[int, ...]) -> NDArray[_Number]:
    """Read an npy of the type and shape that the manifest says.

    Raises
    ------
    BundleError
        When the file is missing, damaged, or holds something else.
    """
    with _reading(str(path)), path.open("rb") as file:
        array = np.load(file, allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise BundleError(
            f"{path} does not hold the {dtype.__name__} array {shape} that the manifest says; "
            "copy or export the bundle again"
        )
    return array


@contextmanager
def _reading(file: str) -> Iterator[None]:
    """Raise BundleError when a file is missing or damaged."""
    try:
        yield
    except (
        *(OSError, ValueError, EOFError, BadZipFile, zlib.error),
        NotImplementedError,  # what zipfile makes of a damaged compression method
    ) as error:
        raise BundleError(f"{file} cannot be read ({error}); copy the bundle again") from error
