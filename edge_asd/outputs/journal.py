"""Events that wait for one output: a queue in memory, and the same in a database on disk.

The database is SQLite with a write-ahead log: what :meth:`Journal.append` was given survives a
power cut right after the call. Memory decides and the database follows: while the disk is full
the queue goes on in memory, and :meth:`Journal.mend` writes everything again once it fits.
"""

from __future__ import annotations

import logging
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from edge_asd.outputs.envelope import Envelope
from edge_asd.outputs.old_spool import read_old_spool

__all__ = ["Journal", "Queued"]

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
# Written before a problem of the disk counts as over: the events that tell so must fit, too.
_ROOM_BYTES = 16_384


class Queued(NamedTuple):
    """An event in the queue of an output."""

    number: int  # grows with every event; 0 for those from before the start
    envelope: Envelope


class Journal:
    """First in, first out. For one thread at a time.

    Parameters
    ----------
    path : of the database, made when there is none; what waits in it is taken up, and so is
        what an earlier version left in the ``.jsonl`` file beside it. None: memory only
    max_bytes : of the waiting events; beyond it the oldest is given up
    """

    def __init__(self, path: Path | None, *, max_bytes: int = 10_000_000) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._waiting: dict[str, Queued] = {}  # by id, the oldest first
        self._bytes = 0
        self._database: sqlite3.Connection | None = None
        self._loaded = False
        self.damaged = False  # the database could not be read; what it held is lost
        self.problem: str | None = None  # why the database cannot be written
        self._write("DELETE FROM room")
        if self.damaged:  # it was set aside
            self.mend()

    def __len__(self) -> int:
        return len(self._waiting)

    def first(self) -> Queued | None:
        """Return the event that has waited longest and leave it in the queue."""
        return next(iter(self._waiting.values()), None)

    def append(self, queued: Queued) -> int:
        """Queue an event; return how many old ones were given up for it.

        An event with the id of one that waits already is not queued again.
        """
        envelope = queued.envelope
        if envelope.id in self._waiting:
            return 0
        self._keep(queued)
        self._write(_INSERT, *_row(envelope))
        given_up = 0
        while self._bytes > self._max_bytes and len(self._waiting) > 1:
            self.done(next(iter(self._waiting)))
            given_up += 1
        return given_up

    def done(self, event_id: str) -> None:
        """Take an event out of the queue, because it was delivered or is given up."""
        queued = self._waiting.pop(event_id, None)
        if queued is None:  # it was given up meanwhile
            return
        self._bytes -= len(queued.envelope.payload)
        self._write("DELETE FROM events WHERE id = ?", _key(event_id))

    def mend(self) -> None:
        """Write everything that waits if something could not be written before."""
        if self.problem is None:
            return
        try:
            database = self._opened()
            with database:
                database.execute("DELETE FROM events")
                rows = (_row(queued.envelope) for queued in self._waiting.values())
                database.executemany(_INSERT, rows)
                database.execute("INSERT INTO room VALUES (zeroblob(?))", [_ROOM_BYTES])
            with database:
                database.execute("DELETE FROM room")
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
        else:
            self.problem = None

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _write(self, sql: str, *parameters: object) -> None:
        """Change the database; while there is a problem only `mend` does."""
        if self._path is None or self.problem is not None:
            return
        try:
            database = self._opened()
            with database:
                database.execute(sql, parameters)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)

    def _opened(self) -> sqlite3.Connection:
        assert self._path is not None
        if self._database is None:
            self._path.parent.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, timeout=0, check_same_thread=False)
            self._database.executescript(_SCHEMA)
        if not self._loaded:
            self._load(self._database, self._path.with_suffix(".jsonl"))
            self._loaded = True
        return self._database

    def _load(self, database: sqlite3.Connection, old: Path) -> None:
        """Put what waits on disk before what waits in memory."""
        if old.exists():
            with database:
                database.executemany(_INSERT, map(_row, read_old_spool(old)))
            old.unlink()
        rows = database.execute("SELECT id, event, payload FROM events ORDER BY rowid")
        stored = [Envelope(_id(key), event, True, content) for key, event, content in rows]
        later = list(self._waiting.values())
        self._waiting, self._bytes = {}, 0
        self._keep(*(Queued(0, envelope) for envelope in stored), *later)

    def _keep(self, *events: Queued) -> None:
        for queued in events:
            self._waiting[queued.envelope.id] = queued
            self._bytes += len(queued.envelope.payload)

    def _fail(self, error: OSError | sqlite3.Error) -> None:
        assert self._path is not None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self.problem = f"cannot write {self._path}: {reason}"
        self.close()  # `mend` opens it again
        if type(error) is sqlite3.DatabaseError:  # not a database, or a malformed one
            aside = self._path.with_suffix(".damaged")
            _log.warning("%s is damaged and set aside as %s: %s", self._path, aside, error)
            with suppress(OSError):
                self._path.replace(aside)
            self._path.with_name(f"{self._path.name}-wal").unlink(missing_ok=True)
            self.damaged = self.damaged or not self._loaded
            self._loaded = True


def _row(envelope: Envelope) -> tuple[bytes, str, bytes]:
    return _key(envelope.id), envelope.event, envelope.payload


def _key(event_id: str) -> bytes:
    return event_id.encode("utf-8", "surrogatepass")  # a machine's name may be no UTF-8


def _id(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
