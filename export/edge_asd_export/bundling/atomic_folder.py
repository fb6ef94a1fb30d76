"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_asd.errors import DataError, UsageError

__all__ = ["atomic_folder"]


@contextmanager
def atomic_folder(out: Path, marker: str) -> Iterator[Path]:
    """Give a folder to fill; on success it takes the place of `out`, else it vanishes.

    Every file is flushed to the disk before the exchange, so that a power cut leaves the
    old folder or the new one.

    Parameters
    ----------
    out : replaced only when it is empty or holds `marker`, the file that such folders have

    Raises
    ------
    UsageError
        When `out` holds something else.
    DataError
        When the disk is full or not writable.
    """
    if out.exists() and not (out / marker).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and has no {marker}: choose another place, or remove it")
    out = out.resolve()
    staging = out.parent / f".{out.name}.partial-{os.getpid()}"
    old = out.parent / f".{out.name}.old-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        yield staging
        _flush(staging)
        if out.exists():
            out.rename(old)
        staging.rename(out)
        _flush_entry(out.parent)
    except OSError as error:
        raise DataError(
            f"cannot write {out}: {error.strerror or error}; nothing was changed there"
        ) from error
    finally:
        if old.exists() and not out.exists():  # stopped between the two renames
            old.rename(out)
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
