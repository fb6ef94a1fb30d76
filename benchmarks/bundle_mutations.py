"""Bundles as faulty disks and strangers make them: one change, or a few, of a sound bundle.

A mutation is a function of a folder and a random generator that changes files in place and says
what it did. Each is a row of `MUTATIONS`; half of them know the format that they change.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.graph_mutations import edit_graph
from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.manifest import MANIFEST_NAME, FileEntry
from edge_asd.bundle.manifest_file import DIGEST_NAME, content_digest, digest_line
from edge_asd.errors import EdgeAsdError

__all__ = ["MUTATIONS", "Mutation", "mutate", "prepare", "reseal"]

Mutation = Callable[[Path, Random], str]

_LARGE_BYTES = 2**26
_BOMBS = 0.1  # of changes of an npz
_BOMB_BYTES = (2**24, 2**29 + 2**20)  # unpacked: below and above what a bundle may hold
_NUMBERS = [0, 1, -1, 2, 7, 127, 128, 255, 1e-9, 0.5, 1e6, 2**31 - 1, 2**31, 2**40, 2**63, 2**70]
_VALUES: list[Any] = [
    *(None, True, False, "", "x", "../../../etc/passwd", "/dev/zero", "x" * 100_000, [], {}, [[]]),
    *(float("nan"), float("inf"), 1e308, -1e308, *_NUMBERS),
]
_HEADERS = [
    *("'descr': '<f8'", "'descr': '<f2'", "'descr': '|O'", "'descr': '<f4', 'descr': '<i4'"),
    *("'descr': '|V2147483647'", "'descr': '<U1000000000'", "'descr': [('a', '<f4', (99999999,))]"),
]


def prepare() -> None:
    """Make what takes long, once for all mutations."""
    for n_bytes in _BOMB_BYTES:
        _bomb_of(n_bytes)


def mutate(folder: Path, random: Random) -> str:
    """Change a bundle by one to three mutations of one kind; return what was done."""
    name = random.choice(list(MUTATIONS))
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        try:
            done.append(MUTATIONS[name](folder, random))
        except Exception as error:  # of what is no bundle any more
            done.append(f"not possible any more ({type(error).__name__})")
    return f"{name}: {'; '.join(done)}"


def reseal(folder: Path, *, golden_too: bool) -> None:
    """Make digests fit the files again, as far as manifest and golden windows can be read.

    Parameters
    ----------
    golden_too : also what golden windows say of the content that they were recorded for, as none
        but the one who made the bundle would
    """
    path = folder / MANIFEST_NAME
    if not path.is_file() or path.stat().st_size > _LARGE_BYTES:  # a pipe would be waited for
        return
    try:
        raw = json.loads(path.read_bytes())
        for name in raw["files"]:
            if (folder / name).is_file() and (folder / name).stat().st_size < _LARGE_BYTES:
                raw["files"][name] = FileEntry.of(folder / name).model_dump()
        if golden_too and (folder / raw["golden"]["file"]).is_file():
            golden = folder / raw["golden"]["file"]
            content = np.frombuffer(content_digest(raw), np.uint8)
            write_arrays(golden, {**read_arrays(golden, "golden"), "content": content})
            raw["files"][golden.name] = FileEntry.of(golden).model_dump()
        path.write_text(json.dumps(raw), encoding="utf-8")
    except (EdgeAsdError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    with suppress(OSError):
        digest = folder / DIGEST_NAME
        if digest.is_file():
            digest.write_bytes(digest_line(path.read_bytes()))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _file(folder: Path, random: Random, suffix: str = "") -> Path:
    return random.choice([path for path in _files(folder) if path.name.endswith(suffix)])


def _position(size: int, random: Random) -> int:
    """Anywhere, but as often near the beginning or the end."""
    near = min(size, 300)
    return random.choice(
        (random.randrange(size), random.randrange(near), size - 1 - random.randrange(near))
    )


def _flip_bits(folder: Path, random: Random) -> str:
    path = _file(folder, random)
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    positions = [_position(len(content), random) for _ in range(random.choice((1, 1, 2, 8)))]
    for position in positions:
        content[position] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    return f"{path.name} at {positions}"


def _overwrite(folder: Path, random: Random) -> str:
    path = _file(folder, random)
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    start, length = _position(len(content), random), random.choice((1, 2, 4, 8, 64, 4096))
    filling = random.choice((b"\0", b"\xff", b"\x7f", b"["))
    content[start : start + length] = filling * min(length, len(content) - start)
    path.write_bytes(content)
    return f"{path.name} at {start}, {length} of {filling!r}"


def _numbers_in_bytes(folder: Path, random: Random) -> str:
    """A number of a header is another: sizes, offsets and counts of all formats are in bytes."""
    path = _file(folder, random)
    content = bytearray(path.read_bytes())
    code = random.choice("<BHIQ"[1:])
    size = struct.calcsize(code)
    if len(content) < size:
        return "nothing"
    start = min(_position(len(content), random), len(content) - size)
    value = random.choice((0, 1, 2, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 2)))
    struct.pack_into(f"<{code}", content, start, value)
    path.write_bytes(content)
    return f"{path.name} at {start}: {value}"


def _resize(folder: Path, random: Random) -> str:
    path = _file(folder, random)
    size = path.stat().st_size
    new = random.choice(
        (0, size // 2, random.randrange(size + 1), size + 1, size * 2, 2**33, 2**42)
    )
    os.truncate(path, new)
    return f"{path.name} from {size} to {new}"


def _swap(folder: Path, random: Random) -> str:
    a, b = (_file(folder, random) for _ in range(2))
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    return f"{a.name} and {b.name}"


def _replace_by_other_kind(folder: Path, random: Random) -> str:
    path = _file(folder, random)
    kind = random.choice(("gone", "folder", "fifo", "/dev/zero", "/proc/self/mem", "itself"))
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "gone":
        path.symlink_to(path if kind == "itself" else kind)
    return f"{path.name}: {kind}"


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of a JSON text is."""
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += _leaves(inner, (*path, key))
    return found


def _edit_manifest(folder: Path, random: Random) -> str:
    path = folder / MANIFEST_NAME
    manifest = json.loads(path.read_bytes())
    *where, key = random.choice(_leaves(manifest)[1:])
    parent = manifest
    for step in where:
        parent = parent[step]
    old, new = parent[key], random.choice(_VALUES)
    if isinstance(old, int | float) and not isinstance(old, bool) and random.random() < 0.7:
        new = random.choice((old * 2, old / 2, old + 1, -old, old * 1000, random.choice(_NUMBERS)))
    edit = random.choice(("change", "change", "change", "delete", "add", "nest", "twice"))
    text = None
    if edit == "delete":
        del parent[key]
    elif edit == "add" and isinstance(parent, dict):
        parent[f"{key}2"] = new
    elif edit == "nest":
        parent[key] = "NEST"
        depth = random.choice((10, 1000, 100_000))
        text = json.dumps(manifest).replace('"NEST"', "[" * depth + "]" * depth)
    elif edit == "twice" and isinstance(parent, dict):
        parent["TWICE"] = new
        text = json.dumps(manifest).replace('"TWICE"', json.dumps(key))
    else:
        parent[key] = new
    path.write_text(text or json.dumps(manifest), encoding="utf-8")
    return f"{edit} {'.'.join(map(str, (*where, key)))} to {str(new)[:30]!r}"


def _edit_npy_header(folder: Path, random: Random) -> str:
    path = _file(folder, random, ".npy")
    content = path.read_bytes()
    text = content[10:128].decode("latin-1")
    edit = random.choice((*_HEADERS, "shape", "shape", "fortran", "length"))
    if edit == "shape":
        n = random.choice((0, 1, 9, 10**6, 2**31, 2**40, 2**62, 10**30))
        start = text.index("'shape': (") + 10
        text = f"{text[:start]}{n}, {text[start:]}" if random.random() < 0.3 else (
            text[:start] + str(n) + text[text.index(",", start) :]
        )  # fmt: skip
    elif edit == "fortran":
        text = text.replace("False", "True")
    elif edit != "length":
        text = text.replace(text[text.index("'descr'") : text.index(", 'fortran")], edit)
    length = random.choice((0, 1, 65535)) if edit == "length" else len(text)
    path.write_bytes(content[:8] + struct.pack("<H", length) + text.encode() + content[128:])
    return f"{path.name}: {edit}"


def _edit_values(folder: Path, random: Random) -> str:
    path = _file(folder, random, random.choice((".npy", ".npz")))
    arrays = {"": np.load(path)} if path.suffix == ".npy" else dict(read_arrays(path, "arrays"))
    name = random.choice(list(arrays))
    arrays[name], said = _other_values(arrays[name].copy(), random)
    with path.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, arrays[name], allow_pickle=False)
        else:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    return f"{path.name} {name}: {said}"


def _other_values(array: NDArray[Any], random: Random) -> tuple[NDArray[Any], str]:
    edit = random.choice(("value", "value", "scale", "roll", "cut", "type", "shape", "sign"))
    flat = array.reshape(-1)
    if edit == "value" and flat.size:
        value = random.choice((0.0, 1.0, -1.0, float("nan"), float("inf"), 1e30))
        if not np.issubdtype(array.dtype, np.floating):
            value = random.randrange(-2, 6)
        flat[random.randrange(flat.size)] = value
        return array, f"one value {value}"
    if edit == "scale":
        return (array * random.choice((0, 2, 0.5, -1, 1.0001))).astype(array.dtype), edit
    if edit == "roll":
        return np.roll(array, 1, axis=-1), edit
    if edit == "cut":
        return array[: len(array) // 2] if array.ndim else array, edit
    if edit == "type":
        return array.astype(random.choice(("f2", "f4", "f8", "i1", "i8", "c8"))), edit
    if edit == "shape":
        return array.reshape(-1), edit
    return -array if array.dtype != np.uint8 else array, "sign"


def _edit_zip(folder: Path, random: Random) -> str:
    """A number of an npz's directory, of methods, sizes, offsets, counts; or a bomb."""
    if random.random() < _BOMBS:
        return _bomb(folder, random)
    path = _file(folder, random, ".npz")
    content = bytearray(path.read_bytes())
    mark = random.choice((b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"))
    starts = [i for i in range(len(content) - 4) if content[i : i + 4] == mark]
    if not starts:
        return "nothing"
    start = random.choice(starts) + random.randrange(4, 46 if mark[2] == 1 else 22)
    value = random.choice((0, 1, 8, 12, 14, 99, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
    size = 4 if value > 0xFFFF else 2
    content[start : start + size] = value.to_bytes(size, "little")
    path.write_bytes(content)
    return f"{path.name} at {start}: {value}"


def _bomb(folder: Path, random: Random) -> str:
    """An npz of zeros only."""
    path = _file(folder, random, ".npz")
    n_bytes = random.choice(_BOMB_BYTES)
    path.write_bytes(_bomb_of(n_bytes))
    return f"{path.name} of {n_bytes} bytes"


@cache
def _bomb_of(n_bytes: int) -> bytes:
    file, piece = io.BytesIO(), bytes(2**20)
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("audio/pump.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(
            member, {"descr": "|i1", "fortran_order": False, "shape": (n_bytes,)}
        )
        for _ in range(n_bytes // len(piece)):
            member.write(piece)
    return file.getvalue()


def _edit_graph(folder: Path, random: Random) -> str:
    path = _file(folder, random, ".onnx")
    content, said = edit_graph(path.read_bytes(), random)
    path.write_bytes(content)
    return f"{path.name}: {said}"


MUTATIONS: Mapping[str, Mutation] = {
    "bits": _flip_bits,
    "bytes": _overwrite,
    "numbers": _numbers_in_bytes,
    "size": _resize,
    "swap": _swap,
    "other kind": _replace_by_other_kind,
    "manifest": _edit_manifest,
    "npy header": _edit_npy_header,
    "values": _edit_values,
    "zip": _edit_zip,
    "graph": _edit_graph,
}
