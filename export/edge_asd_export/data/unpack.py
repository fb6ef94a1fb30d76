"""The zip archive of one machine becomes its folder, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile, ZipInfo

from edge_asd.errors import DataError
from edge_asd.recordings.clip_name import Split

__all__ = ["missing_splits", "unpack"]


def missing_splits(folder: Path, splits: Sequence[Split]) -> tuple[Split, ...]:
    """Those of a machine's splits that hold nothing yet."""
    return tuple(split for split in splits if not _is_filled(folder / split))


def unpack(archive: Path, machine: str, splits: Sequence[Split], out: Path) -> None:
    """Give `out/<machine>/<split>` the clips of an archive; what is there already stays.

    The archive holds `<machine>/<split>/...`, perhaps inside one more folder, or `<split>/...`
    alone. Everything is written to a hidden folder first. A split appears by being renamed, so
    one that is there is complete.

    Raises
    ------
    DataError
        When the archive is damaged, lacks a split, or holds anything but plain files with
        distinct names inside it.
    OSError
        When the disk is full or not writable.
    """
    prefix = f".{machine}.unpacking-"
    for stale in out.glob(f"{prefix}*"):  # left by a process that was killed
        shutil.rmtree(stale)
    with TemporaryDirectory(prefix=prefix, dir=out) as temporary:
        staging = Path(temporary) / machine
        staging.mkdir()
        try:
            with ZipFile(archive) as zipped:
                _extract(zipped, machine, splits, staging)
        except (BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
            raise DataError(f"{archive}: not a readable zip archive ({error})") from error
        os.sync()  # the clips reach the disk before the names that vouch for them
        _settle(staging, out / machine, splits)


def _extract(zipped: ZipFile, machine: str, splits: Sequence[Split], staging: Path) -> None:
    plan = _plan(zipped, machine, splits)
    n_bytes = sum(info.file_size for info in plan.values())
    if n_bytes > shutil.disk_usage(staging).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for path, info in plan.items():
        info.filename = str(path)
        zipped.extract(info, staging)


def _plan(zipped: ZipFile, machine: str, splits: Sequence[Split]) -> dict[PurePosixPath, ZipInfo]:
    """The archive's files by their place inside the machine's folder."""
    plan: dict[PurePosixPath, ZipInfo] = {}
    for info in zipped.infolist():
        if reason := _objection(info):
            raise DataError(f"{zipped.filename}: refused, '{info.filename}' {reason}")
        path = _inside(PurePosixPath(info.filename), machine, splits)
        if path is None or info.is_dir():
            continue
        if path in plan:
            raise DataError(f"{zipped.filename}: refused, '{info.filename}' comes twice")
        plan[path] = info
    for split in splits:
        if not any(path.parts[0] == split and len(path.parts) > 1 for path in plan):
            tops = ", ".join(sorted({name.partition("/")[0] for name in zipped.namelist()}))
            raise DataError(
                f"{zipped.filename}: no {machine}/{split} inside, only {tops or 'nothing'}"
            )
    return plan


def _objection(info: ZipInfo) -> str | None:
    path = PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename:
        return "points out of the archive"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 1:
        return "is encrypted"
    return None


def _inside(path: PurePosixPath, machine: str, splits: Sequence[Split]) -> PurePosixPath | None:
    """The place inside the machine's folder; None for what lies elsewhere, or is hidden."""
    parts = path.parts
    if not parts or any(part.startswith((".", "__MACOSX")) for part in parts):
        return None
    for depth, part in enumerate(parts[:2], start=1):
        if part == machine:
            return PurePosixPath(*parts[depth:]) if len(parts) > depth else None
    return path if parts[0] in splits else None


def _settle(staging: Path, folder: Path, splits: Sequence[Split]) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    # Splits last: what lies beside them is there when they are. The archives of one machine may
    # both bring an attributes_00.csv, which nothing reads; the first one stays.
    for entry in sorted(staging.iterdir(), key=lambda entry: entry.name in splits):
        place = folder / entry.name
        if not (_is_filled(place) or place.is_file()):
            entry.rename(place)


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
