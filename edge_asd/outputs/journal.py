"""Events that wait for one output, on disk.

The file is a SQLite database with a write-ahead log: what :meth:`Journal.append` was given
survives a power cut right after the call. A disk that is full or broken raises nothing: it is the
journal's :attr:`Journal.problem`, until :meth:`Journal.mend` could write what waits.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from edge_asd.outputs import Envelope

__all__ = ["Journal"]

_log = logging.getLogger(__name__)

_SCHEMA = """
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 256;
    CREATE TABLE IF NOT EXISTS events (id BLOB PRIMARY KEY, event TEXT, payload BLOB);
    CREATE TABLE IF NOT EXISTS room (filler BLOB);
"""
_INSERT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?)"
_DELETE = "DELETE FROM events WHERE id = ?"
# Written before a problem of the disk counts as over: the events that tell so must fit, too.
_ROOM_BYTES = 16_384


class Journal:
    """The database; for one thread at a time.

    Parameters
    ----------
    path : of the file, made when there is none; what an earlier version of the program has left
        in the ``.jsonl`` file beside it is taken over. None: nothing is kept
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._done: list[str] = []  # ids that could not be taken out
        self.stored: list[Envelope] = []  # what waited at the start, the oldest first
        self.damaged = False  # the file could not be read and was set aside
        self.problem: str | None = None  # why nothing can be written
        if path is not None:
            self._load(path.with_suffix(".jsonl"))
        if self.damaged:
            self.mend(())

    def append(self, envelope: Envelope) -> None:
        """Keep an event; while there is a problem only `mend` writes."""
        if self.problem is None:
            self._change(lambda database: database.execute(_INSERT, _row(envelope)))

    def done(self, event_id: str) -> None:
        """Take an event out, because it was delivered or is given up."""
        self._done.append(event_id)
        if self.problem is None:
            self._take_out()

    def mend(self, waiting: Iterable[Envelope]) -> None:
        """Write everything that waits, if something could not be written before."""
        if self.problem is None:
            return

        def write(database: sqlite3.Connection) -> None:
            database.executemany(_INSERT, map(_row, waiting))
            database.execute("INSERT INTO room VALUES (zeroblob(?))", [_ROOM_BYTES])

        self.problem = None
        self._change(write)
        if self.problem is None:
            self._take_out()

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _load(self, old: Path) -> None:
        def read(database: sqlite3.Connection) -> None:
            if old.exists():
                database.executemany(_INSERT, map(_row, _read_old_spool(old)))
            rows = database.execute("SELECT id, event, payload FROM events ORDER BY rowid")
            self.stored = [Envelope(_id(key), event, True, content) for key, event, content in rows]

        self._change(read)
        if self.problem is None:
            old.unlink(missing_ok=True)

    def _take_out(self) -> None:
        def delete(database: sqlite3.Connection) -> None:
            database.executemany(_DELETE, [(_key(event_id),) for event_id in self._done])
            database.execute("DELETE FROM room")

        self._change(delete)
        if self.problem is None:
            self._done.clear()

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Change the database, as a whole or not at all; a failure becomes the problem."""
        if self._path is None:
            return
        try:
            if self._database is None:
                self._path.parent.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
                self._database = sqlite3.connect(self._path, timeout=0, check_same_thread=False)
                self._database.executescript(_SCHEMA)
            with self._database:
                change(self._database)
        except (OSError, sqlite3.Error) as error:
            self._fail(self._path, error)

    def _fail(self, path: Path, error: OSError | sqlite3.Error) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self.problem = f"cannot write {path}: {reason}"
        self.close()
        if type(error) is sqlite3.DatabaseError:  # not a database, or a malformed one
            self.damaged = True
            _log.warning("%s is damaged and set aside as .damaged: %s", path, error)
            with suppress(OSError):
                path.replace(path.with_suffix(".damaged"))
                path.with_name(f"{path.name}-wal").unlink(missing_ok=True)


def _read_old_spool(path: Path) -> list[Envelope]:
    """Return the events in the journal of an earlier version, the oldest first.

    It has one line per event and, once that was delivered, a line ``{"done": "<id>"}``.
    """
    waiting: dict[str, Envelope] = {}
    unreadable = 0
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
            if "done" in content:
                waiting.pop(content["done"], None)
            else:
                event_id = str(content["id"])
                waiting[event_id] = Envelope(event_id, str(content["event"]), True, line)
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += 1
    if unreadable:
        _log.warning("%s: left out %d damaged lines", path, unreadable)
    return list(waiting.values())


def _row(envelope: Envelope) -> tuple[bytes, str, bytes]:
    return _key(envelope.id), envelope.event, envelope.payload


def _key(event_id: str) -> bytes:
    return event_id.encode("utf-8", "surrogatepass")  # a machine's name may be no UTF-8


def _id(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
