"""Writes the files of a state folder in a thread of its own: nobody waits for the disk.

A disk that is full is tried again; one that hangs keeps only this thread. Both are what
:attr:`StateWriter.problem` says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from edge_asd.state.atomic import flush_to_disk, write_atomically
from edge_asd.state.disk_health import DiskHealth

__all__ = ["StateWriter", "Write"]

# Writes a file whole or not at all, at once or later; of what it was given before, nothing counts.
Write: TypeAlias = Callable[[Path, bytes], None]

_RETRY_S = 10.0
_LOOK_S = 2.0
_MOST_WAITING_BYTES = 32_000_000
_DEADLINE_S = 2.0

_log = logging.getLogger(__name__)


class StateWriter:
    """Takes the content of files without waiting; of each file the newest content is written.

    An idle disk is asked every two seconds whether it still answers, which writes nothing.

    Parameters
    ----------
    folder : of the files
    write : :func:`edge_asd.state.atomic.write_atomically`, which may wait and fail
    look : asks the disk below a folder whether it answers
    retry_s : from a write that failed to the next attempt
    look_s : how often an idle disk is asked
    health : judges the disk
    """

    def __init__(
        self,
        folder: Path,
        *,
        write: Write = write_atomically,
        look: Callable[[Path], None] = flush_to_disk,
        retry_s: float = _RETRY_S,
        look_s: float = _LOOK_S,
        health: DiskHealth | None = None,
    ) -> None:
        self._folder = folder
        self._write = write
        self._look = look
        self._retry_s = retry_s
        self._look_s = look_s
        self._health = health or DiskHealth()
        self._changed = threading.Condition()  # guards all of the following
        self._waiting: dict[Path, bytes] = {}
        self._failed: dict[Path, tuple[str, float]] = {}  # why, and when it is tried again
        self._closing = self._ended = False
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why something cannot be written, or is not; None: all is well. Thread: any."""
        return self._health.problem

    def put(self, path: Path, content: bytes) -> None:
        """Have a file written; raises nothing and never waits. Thread: any."""
        with self._changed:
            self._waiting[path] = content
            while len(self._waiting) > 1 and self._n_bytes() > _MOST_WAITING_BYTES:
                oldest = next(iter(self._waiting))
                self._forget(oldest)
                _log.warning("%s is given up: the disk takes nothing", oldest)
            self._changed.notify_all()

    def discard(self, folder: Path) -> None:
        """Write nothing below a folder that was put before. Thread: any."""
        with self._changed:
            for path in [path for path in self._waiting if path.is_relative_to(folder)]:
                self._forget(path)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until everything is on the disk; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def close(self, deadline_s: float = _DEADLINE_S) -> None:
        """Write what waits, each file once more.

        Give up, with a warning, after `deadline_s` in which no file was written.
        """
        left = -1
        with self._changed:
            self._closing = True
            self._failed = {path: (why, 0.0) for path, (why, _) in self._failed.items()}
            self._changed.notify_all()
            while not self._ended and left != len(self._waiting):
                left = len(self._waiting)
                self._changed.wait_for(partial(self._written, left), deadline_s)
            if self._waiting:
                names = ", ".join(path.name for path in self._waiting)
                _log.warning("%s could not be written in %s", names, self._folder)

    def _run(self) -> None:
        while True:
            with self._changed:
                path, content = self._next()
                closing = self._closing
            if path is not None:
                self._write_one(path, content)
            elif closing:
                break
            else:
                self._ask()

        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _written(self, left: int) -> bool:
        return self._ended or len(self._waiting) < left

    def _next(self) -> tuple[Path | None, bytes]:
        """Wait for the next file, at most until the disk is to be asked."""
        end_s = time.monotonic() + self._look_s
        while True:
            now_s = time.monotonic()
            for path, content in self._waiting.items():
                if now_s >= self._failed.get(path, ("", 0.0))[1]:
                    return path, content
            if self._closing or now_s >= end_s:
                return None, b""
            due_s = min([end_s, *(again_s for _, again_s in self._failed.values())])
            self._changed.wait(due_s - now_s)

    def _write_one(self, path: Path, content: bytes) -> None:
        failure: str | None = None
        with self._health.writing(str(path)):
            try:
                self._write(path, content)
            except OSError as error:
                failure = f"cannot write {path}: {error.strerror or error}"
            except (Exception, SystemExit) as error:  # else no state would be written ever again
                _log.exception("%s could not be written", path)
                failure = f"cannot write {path}: {type(error).__name__}: {error}"
        with self._changed:
            newest = self._waiting.get(path) is content
            if failure is None:
                self._failed.pop(path, None)
                if newest:
                    del self._waiting[path]
            elif self._closing and newest:
                self._failed[path] = failure, float("inf")
            elif path in self._waiting:
                self._failed[path] = failure, time.monotonic() + self._retry_s
            self._health.reason = next((why for why, _ in self._failed.values()), None)
            self._changed.notify_all()

    def _ask(self) -> None:
        reason: str | None = None
        with self._health.writing(str(self._folder)):
            try:
                self._look(self._folder)
            except OSError as error:
                reason = f"cannot use the state folder {self._folder}: {error.strerror or error}"
        with self._changed:
            if not self._failed:
                self._health.reason = reason

    def _forget(self, path: Path) -> None:
        del self._waiting[path]
        self._failed.pop(path, None)

    def _n_bytes(self) -> int:
        return sum(map(len, self._waiting.values()))
