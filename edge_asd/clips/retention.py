"""Room for the next event: sound goes first, then pictures, and the JSON of alarms last."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_asd.clips.folder import AUDIO_FILE, PICTURE_FILE
from edge_asd.clips.order import by_age

__all__ = ["Retention"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _EventFolder:
    folder: Path
    sizes: dict[str, int]  # in bytes, by file name

    @property
    def n_bytes(self) -> int:
        return sum(self.sizes.values())


class Retention:
    """Keeps a folder of events within its bounds, by removing the oldest.

    Thread: one that may wait for the disk.

    Parameters
    ----------
    max_bytes : of all events
    reserve_bytes : always left free on the disk
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        reserve_bytes: int,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._free = free
        self._used: int | None = None  # None: to be counted

    def make_room(self, n_bytes: int, keep: Path | None = None) -> str | None:
        """Remove old events until `n_bytes` may be written; return why they may not.

        Nothing is removed when that would not be enough.

        Parameters
        ----------
        keep : an event that is never removed

        Raises
        ------
        OSError
            When the folder cannot be read or an event cannot be removed.
        """
        if self._used is None or self._lacking(self._used, n_bytes) > 0:
            kept = list(self._scan())
            self._used = sum(own.n_bytes for own in kept)
            lacking = self._lacking(self._used, n_bytes)
            events = {own.folder.name: own for own in kept if own.folder != keep}
            old = [events[name] for name in by_age(self._folder, events)]
            if lacking > sum(own.n_bytes for own in old):
                return self._refusal(n_bytes)
            self._remove(old, lacking)
        self._used += n_bytes
        return None

    def _lacking(self, used: int, n_bytes: int) -> int:
        """Bytes that have to go."""
        beyond_most = used + n_bytes - self._max_bytes
        return max(beyond_most, n_bytes + self._reserve_bytes - self._free(self._folder))

    def _remove(self, old: list[_EventFolder], lacking: int) -> None:
        """Remove sound, then pictures, then folders, until nothing is lacking."""
        for path, n_bytes in _removable(old):
            if lacking <= 0:
                return
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            lacking -= n_bytes
            self._used = (self._used or 0) - n_bytes
            _log.info("removed %s to make room", path.relative_to(self._folder))

    def _scan(self) -> Iterator[_EventFolder]:
        for entry in os.scandir(self._folder):
            if entry.is_dir(follow_symlinks=False):
                files = {f.name: f.stat(follow_symlinks=False).st_size for f in os.scandir(entry)}
                yield _EventFolder(Path(entry.path), files)

    def _refusal(self, n_bytes: int) -> str:
        free, most = self._free(self._folder), self._max_bytes
        if free - n_bytes < self._reserve_bytes:
            return (
                f"{_megabytes(free)} are free on the disk of {self._folder}, of which "
                f"{_megabytes(self._reserve_bytes)} stay free: remove other files, or lower "
                "clips.reserve_bytes"
            )
        return (
            f"events may have {_megabytes(most)} in {self._folder}, which is too little for "
            "this one: raise clips.max_bytes"
        )


def _removable(old: list[_EventFolder]) -> Iterator[tuple[Path, int]]:
    """Yield what may go, the least missed first, and its size in bytes."""
    for name in (AUDIO_FILE, PICTURE_FILE):
        for own in old:
            if name in own.sizes:
                yield own.folder / name, own.sizes.pop(name)
    for own in old:
        yield own.folder, own.n_bytes


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.0f} MB"
