"""Files and folders that are written whole or not at all, also when the power fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_file", "atomic_folder", "flush_to_disk", "write_atomically"]


@contextmanager
def atomic_file(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Give a file to fill; on success it takes the place of `path`, else it vanishes.

    Parameters
    ----------
    mode : rights of the file, from its first byte on; None: what the umask leaves

    Raises
    ------
    OSError
        As the system does; the old file is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        # O_EXCL follows no link that somebody else set there.
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode
        )
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    flush_to_disk(path.parent)


def write_atomically(path: Path, content: bytes | str, mode: int | None = None) -> None:
    """Write a file whole or not at all; see :func:`atomic_file`."""
    with atomic_file(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill; on success it takes the place of `path`, else it vanishes.

    Raises
    ------
    OSError
        As the system does; the old folder is then as it was.
    """
    staging = path.parent / f".{path.name}.partial-{os.getpid()}"
    old = path.parent / f".{path.name}.old-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        yield staging
        for inside in sorted(staging.rglob("*")):
            flush_to_disk(inside)
        flush_to_disk(staging)
        if path.exists():
            path.rename(old)
        staging.rename(path)
        flush_to_disk(path.parent)
    finally:
        if old.exists() and not path.exists():  # stopped between the two renames
            old.rename(path)
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def flush_to_disk(path: Path) -> None:
    """Return when what was written to a file, or the entries of a folder, are on the disk.

    Raises
    ------
    OSError
        As the system does.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
