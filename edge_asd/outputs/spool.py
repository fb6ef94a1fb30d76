"""Durable events that wait for one output: a queue in memory with a journal on disk.

The journal holds one line per event and, once it was delivered, a line that says so::

    {"event": "alarm_raised", "id": "pump-20261122T083005000Z-alarm_raised", ...}
    {"done": "pump-20261122T083005000Z-alarm_raised"}

Lines are only ever appended, each made safe against a power cut before the call returns;
the file is emptied when nothing waits. Memory decides and the journal follows: while the
disk is full the queue goes on, and the journal is written anew as soon as it fits.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_asd.events.event import Event
from edge_asd.outputs.stored_event import read_event
from edge_asd.state.atomic import write_atomically

__all__ = ["Spool"]

_log = logging.getLogger(__name__)

_REMEMBERED_IDS = 1000
_MARK = b'{"done": '
_PROBE = _MARK + b'""' + b" " * 16_384 + b"}\n"  # a line that says nothing


class Spool:
    """First in, first out; no event twice. For one thread at a time.

    Parameters
    ----------
    path : of the journal, made when there is none; what waits in it is taken up.
        None keeps events in memory only
    max_bytes : of waiting events, in memory as on disk; beyond it the oldest is given up.
        The journal may grow to twice as much
    """

    def __init__(self, path: Path | None, *, max_bytes: int = 10_000_000) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._waiting: dict[str, bytes] = {}  # line by event id, the oldest first
        self._waiting_bytes = 0
        self._finished: dict[str, None] = {}  # ids that are not to be queued again
        self._journal_bytes = 0
        self._behind = False  # whether the journal lacks something
        self.given_up = 0  # events that were lost: the oldest of too many, or unreadable
        self.problem: str | None = None  # why the journal cannot be written
        if path is not None:
            self._open(path)

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, event: Event) -> bool:
        """Queue an event; return False when it waits already or has been delivered."""
        if event.id in self._waiting or event.id in self._finished:
            return False
        line = _line(event.to_dict())
        self._waiting[event.id] = line
        self._waiting_bytes += len(line)
        self._write(line)
        while self._waiting_bytes > self._max_bytes and len(self._waiting) > 1:
            self.given_up += 1
            self.done(next(iter(self._waiting)))
        return True

    def first(self) -> Event | None:
        """Return the event that has waited longest and leave it in the queue."""
        return next((read_event(line) for line in self._waiting.values()), None)

    def done(self, event_id: str) -> None:
        """Take an event out of the queue, because it was delivered or is given up."""
        line = self._waiting.pop(event_id, None)
        if line is None:
            return
        self._waiting_bytes -= len(line)
        self._remember(event_id)
        self._write(_line({"done": event_id}))

    def save(self) -> None:
        """Write the journal again if it could not be written before."""
        if self.problem is not None:
            self._write(b"")

    def _remember(self, event_id: str) -> None:
        self._finished[event_id] = None
        if len(self._finished) > _REMEMBERED_IDS:
            del self._finished[next(iter(self._finished))]

    def _open(self, path: Path) -> None:
        try:
            _make_folder(path.parent)
            self._take_up(path.read_bytes() if path.exists() else b"")
            self._rewrite(path)  # begin with what waits and nothing else
        except OSError as error:
            self._fail(error)

    def _take_up(self, content: bytes) -> None:
        *lines, torn = content.split(b"\n")  # nothing follows the last line end ...
        unreadable = int(not _MARK.startswith(torn[: len(_MARK)]))  # ... but after a power cut
        for line in lines:
            try:
                self._replay(line)
            except ValueError:
                unreadable += 1
        self.given_up += unreadable
        if unreadable:
            _log.warning("%s: left out %d damaged lines", self._path, unreadable)

    def _replay(self, line: bytes) -> None:
        if line.startswith(_MARK):
            event_id = str(json.loads(line)["done"])
            self._waiting_bytes -= len(self._waiting.pop(event_id, b""))
            self._remember(event_id)
            return
        event = read_event(line)
        self._waiting[event.id] = line + b"\n"
        self._waiting_bytes += len(line) + 1

    def _write(self, line: bytes) -> None:
        """Bring the journal up to date, by one line where that is enough."""
        if self._path is None:
            return
        try:
            if not self._waiting:
                self._empty(self._path)
            elif self._behind or self._journal_bytes + len(line) > 2 * self._max_bytes:
                self._rewrite(self._path)
            else:
                self._append(self._path, line)
            self._behind = False
            if self.problem is not None:
                self._require_room(self._path)
        except OSError as error:
            self._fail(error)
        else:
            self.problem = None

    def _require_room(self, path: Path) -> None:
        """Write more than one line; else the news that there is room finds none.

        A full disk lets a journal be emptied. If that ended the problem, the news of its
        end would not fit, which is a problem, which ends when it was delivered, and so on.
        """
        self._append(path, _PROBE)
        if not self._waiting:
            self._empty(path)

    def _fail(self, error: OSError) -> None:
        self._behind = True
        self.problem = f"cannot write {self._path}: {error.strerror}"

    def _append(self, path: Path, line: bytes) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            rest = line
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, self._journal_bytes)
            raise
        finally:
            os.close(file)
        self._journal_bytes += len(line)

    def _empty(self, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, 0)
            os.fsync(file)
        finally:
            os.close(file)
        self._journal_bytes = 0

    def _rewrite(self, path: Path) -> None:
        _make_folder(path.parent)
        content = b"".join(self._waiting.values())
        write_atomically(path, content)
        self._journal_bytes = len(content)


def _make_folder(path: Path) -> None:
    path.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)  # for its owner alone


def _line(content: dict[str, Any]) -> bytes:
    # ASCII, because a name from the command line may hold characters that UTF-8 lacks.
    return json.dumps(content, allow_nan=False).encode("ascii") + b"\n"
