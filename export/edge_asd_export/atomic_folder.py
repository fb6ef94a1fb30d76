"""A folder that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_asd.errors import DataError, UsageError
from edge_asd.state.atomic import atomic_folder as whole_folder

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
    try:
        with whole_folder(out.resolve()) as staging:
            yield staging
    except OSError as error:
        raise DataError(
            f"cannot write {out}: {error.strerror or error}; nothing was changed there"
        ) from error
