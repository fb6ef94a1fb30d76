"""Files of arrays in a bundle: without pickle, the same bytes each time.

They are read only in the form in which numpy writes arrays of plain numbers, and memory is taken
by the sizes that the files really have: a header may say what it likes.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.limits import ARRAYS_BYTES, FILE_BYTES, N_ARRAYS
from edge_asd.errors import BundleError

__all__ = ["Arrays", "read_array", "read_arrays", "write_arrays"]

Arrays = Mapping[str, NDArray[Any]]

_Number = TypeVar("_Number", np.float32, np.float64, np.int8)

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    r"\{'descr': '(?P<dtype><[fiu][248]|\|[biu]1)', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(\d{1,12}, ?)*(\d{1,12})?)\), \} *\n"
)
_MAX_HEADER_BYTES = 1024
_MAX_DIMENSIONS = 8
_END_BYTES = 22  # of the record that ends a zip file without a comment
_DIRECTORY_BYTES = 1024  # per member in the directory of a zip file: its name above all


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an npz; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_arrays(
    path: Path, what: str, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, NDArray[Any]]:
    """Read an npz.

    Parameters
    ----------
    what : the arrays are, for the message
    wanted : tells by its name whether an array is unpacked

    Raises
    ------
    BundleError
        When the file is missing, damaged, larger than a bundle's may be, or holds something else
        than numbers.
    """
    with _reading(f"{what} {path}"), path.open("rb") as file:
        _require_small_directory(file)
        with ZipFile(file) as archive:
            members = archive.infolist()
            _require_small_members(members)
            named = {member.filename.removesuffix(".npy"): member for member in members}
            return {
                name: _array_of(archive.read(member))
                for name, member in named.items()
                if wanted(name)
            }


def read_array(path: Path, dtype: type[_Number], shape: tuple[int, ...]) -> NDArray[_Number]:
    """Read an npy of the type and shape that the manifest says.

    Raises
    ------
    BundleError
        When the file is missing, damaged, or holds something else.
    """
    with _reading(str(path)), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > FILE_BYTES:
            raise ValueError(f"{size} bytes, at most {FILE_BYTES} are read")
        header = _Header.of(file.read(_MAX_HEADER_BYTES))
        if header.dtype != dtype or header.shape != shape:
            raise BundleError(
                f"{path} does not hold the {dtype.__name__} array {shape} that the manifest says; "
                "copy or export the bundle again"
            )
        header.require_size(size)
        file.seek(header.n_bytes)
        return header.shaped(np.fromfile(file, header.dtype, math.prod(shape)))


@dataclass(frozen=True, slots=True)
class _Header:
    """What the beginning of an npy says."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    n_bytes: int  # of the header itself

    @classmethod
    def of(cls, start: bytes) -> _Header:
        n_bytes = len(_MAGIC) + 2 + int.from_bytes(start[len(_MAGIC) : len(_MAGIC) + 2], "little")
        text = start[len(_MAGIC) + 2 : n_bytes].decode("latin-1")
        found = _HEADER.fullmatch(text)
        if not start.startswith(_MAGIC) or n_bytes > len(start) or found is None:
            raise ValueError("it is no array of numbers as numpy writes it")
        shape = tuple(int(n) for n in found["shape"].split(",") if n.strip())
        if len(shape) > _MAX_DIMENSIONS:
            raise ValueError(f"{len(shape)} dimensions, at most {_MAX_DIMENSIONS} are read")
        return cls(np.dtype(found["dtype"]), shape, found["fortran"] == "True", n_bytes)

    def require_size(self, n_bytes: int) -> None:
        expected = self.n_bytes + math.prod(self.shape) * self.dtype.itemsize
        if n_bytes != expected:
            raise ValueError(f"{n_bytes} bytes, {self.dtype} {self.shape} takes {expected}")

    def shaped(self, flat: NDArray[Any]) -> NDArray[Any]:
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


def _array_of(content: bytes) -> NDArray[Any]:
    """The array of a whole npy; read-only."""
    header = _Header.of(content[:_MAX_HEADER_BYTES])
    header.require_size(len(content))
    return header.shaped(np.frombuffer(content, header.dtype, offset=header.n_bytes))


def _require_small_directory(file: IO[bytes]) -> None:
    """Refuse a zip file whose directory is not right before its end, or large.

    ``zipfile`` reads the whole directory into memory, wherever the end says that it is.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _END_BYTES - 20))
    tail = file.read(_END_BYTES + 20)
    end = tail[-_END_BYTES:]
    if not end.startswith(b"PK\x05\x06") or tail.startswith(b"PK\x06\x07"):
        raise ValueError("it does not end as a zip file of arrays does")
    n_members = int.from_bytes(end[10:12], "little")
    directory, start = (int.from_bytes(end[at : at + 4], "little") for at in (12, 16))
    if n_members > N_ARRAYS or directory > n_members * _DIRECTORY_BYTES:
        raise ValueError(f"{n_members} arrays, at most {N_ARRAYS} are read")
    if start + directory + _END_BYTES != size:
        raise ValueError("its directory is not where it should be")


def _require_small_members(members: list[ZipInfo]) -> None:
    names = {member.filename for member in members}
    odd = any(
        member.compress_type not in (ZIP_STORED, ZIP_DEFLATED)
        or member.flag_bits & ~0x800  # names in UTF-8
        or not member.filename.endswith(".npy")
        for member in members
    )
    if odd or len(names) < len(members):
        raise ValueError("it is packed as no npz of a bundle is")
    if (n_bytes := sum(member.file_size for member in members)) > ARRAYS_BYTES:
        raise ValueError(f"{n_bytes} bytes unpacked, at most {ARRAYS_BYTES} are read")


@contextmanager
def _reading(file: str) -> Iterator[None]:
    """Raise BundleError when a file is missing or damaged."""
    try:
        yield
    except (
        *(OSError, ValueError, EOFError, OverflowError, BadZipFile, zlib.error),
        RuntimeError,  # what zipfile makes of methods and keys that it does not know
    ) as error:
        raise BundleError(f"{file} cannot be read ({error}); copy the bundle again") from error
