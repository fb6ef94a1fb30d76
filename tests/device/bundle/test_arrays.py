"""Arrays from elsewhere: no number in a file decides how much memory is taken."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_asd.bundle import arrays
from edge_asd.bundle.arrays import read_array, read_arrays, write_arrays
from edge_asd.errors import BundleError

MOST_BYTES = 4_000_000  # that refusing may take


def npy(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + data


HEADERS = [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 99999, 99999), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 9 + "), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '|V2147483647', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f4', (999999999,))], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f1', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 900,
    "{'descr'",
    "",
]


@pytest.mark.parametrize("header", HEADERS)
def test_an_array_is_refused_whose_header_says_what_the_file_does_not_hold(
    tmp_path: Path, header: str
) -> None:
    (tmp_path / "a.npy").write_bytes(npy(header, bytes(4)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", npy(header, bytes(4)))

    with pytest.raises(BundleError):
        read_array(tmp_path / "a.npy", np.float32, (999999999999,))
    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(tmp_path / "a.npz", "arrays")


def test_a_sparse_terabyte_is_not_read(tmp_path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944,), }"
    (tmp_path / "a.npy").write_bytes(npy(header))
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(2**40 + len(npy(header)))

    with pytest.raises(BundleError, match=r"at most \d+ are read"):
        read_array(tmp_path / "a.npy", np.float32, (2**38,))


def bomb(path: Path) -> None:
    """Some kilobytes that unpack to 24 megabytes, of four gigabytes that it promises."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,), }"))
        for _ in range(3):
            member.write(bytes(2**23))


def many_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(101):
            archive.writestr(f"{i}.npy", npy(HEADERS[0]))


def far_directory(path: Path) -> None:
    """A zip64 end that says where a directory of terabytes begins."""
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, 76, 0, 0)
    path.write_bytes(end64 + locator + end)


def other_method(path: Path) -> None:
    """LZMA takes as much memory for its window as the file says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", bytes(100))


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        for _ in range(2):
            archive.writestr("a.npy", npy(HEADERS[0]))


@pytest.mark.parametrize("make", [bomb, many_members, far_directory, other_method, twice])
def test_an_archive_that_could_take_memory_is_refused_without_taking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(arrays, "N_ARRAYS", 100)
    monkeypatch.setattr(arrays, "ARRAYS_BYTES", 2**24)
    make(tmp_path / "a.npz")
    tracemalloc.start()

    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(tmp_path / "a.npz", "arrays")

    assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    tracemalloc.stop()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1"])
def test_arrays_of_numbers_come_back_as_they_were_written(
    tmp_path: Path, dtype: str, order: str
) -> None:
    written = {
        "a/b": np.arange(24).reshape(2, 3, 4).astype(dtype, order=order),  # type: ignore[call-overload]
        "\u00fc": np.zeros((0, 7), dtype),
        "scalar": np.array(3, dtype),
    }
    write_arrays(tmp_path / "a.npz", written)

    read = read_arrays(tmp_path / "a.npz", "arrays")

    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
