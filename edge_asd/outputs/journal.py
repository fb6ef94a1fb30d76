"""Events that wait for one output, on disk.

The file is a SQLite database: what :meth:`Journal.append` was given survives a power cut right
after the call. A disk that is full or broken raises nothing: it is the journal's
:attr:`Journal.problem`, until :meth:`Journal.mend` could write what waits. A damaged file is set
aside; what can be read of it is kept, and what cannot is counted.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from edge_asd.outputs import Envelope

__all__ = ["Journal"]

_log = logging.getLogger(__name__)

# No write-ahead log: one damaged bit in it would take all that was written later with it.
_SCHEMA = """
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = TRUNCATE;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS events
        (id BLOB PRIMARY KEY, event BLOB, payload BLOB, checksum INTEGER);
    CREATE TABLE IF NOT EXISTS room (filler BLOB);
"""
_SELECT = "SELECT id, event, payload, checksum FROM events ORDER BY rowid"
_INSERT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM events WHERE id = ?"
# Written before a problem of the disk counts as over: the events that tell so must fit, too.
_ROOM_BYTES = 16_384
_LEAST_BYTES = 512  # of a database: its smallest page
# Errors that pass, or are the disk's; any other means that the file is not what it was.
_OF_THE_SYSTEM = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
}


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
        self._loaded = path is None
        self._done: list[str] = []  # ids that could not be taken out
        self.n_lost = 0  # events that could not be read, at least
        self.problem: str | None = None  # why nothing can be written
        self.stored = self._load()  # what waited at the start, the oldest first

    def append(self, envelope: Envelope) -> None:
        """Keep an event; while there is a problem only `mend` writes."""
        if self.problem is None:
            self._change(lambda database: database.execute(_INSERT, _row(envelope)))

    def done(self, event_id: str) -> None:
        """Take an event out, because it was delivered or is given up."""
        self._done.append(event_id)
        if self.problem is None:
            self._take_out()

    def mend(self, waiting: Iterable[Envelope]) -> list[Envelope]:
        """Write everything that waits, if something could not be written before.

        Returns
        -------
        What had waited since before the start and could not be read until now.
        """
        if self.problem is None:
            return []

        def write(database: sqlite3.Connection) -> None:
            database.executemany(_INSERT, map(_row, waiting))
            database.execute("INSERT INTO room VALUES (zeroblob(?))", [_ROOM_BYTES])

        self.problem = None
        late = self._load()
        if self.problem is None and self._change(write):
            self._take_out()
        return late

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _load(self) -> list[Envelope]:
        """Read what waits, once; what of a damaged file can be read goes into a new one."""
        if self._path is None or self._loaded:
            return []
        stored: list[Envelope] = []
        n_lost = 0
        try:
            if self._path.exists() and 0 < self._path.stat().st_size < _LEAST_BYTES:
                raise sqlite3.DatabaseError("the file is cut short")  # SQLite takes it for new
            database = self._opened(self._path)
            for row in database.execute(_SELECT):
                try:
                    stored.append(_envelope(*row))
                except (TypeError, ValueError, AttributeError):
                    n_lost += 1
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            n_lost = max(n_lost, int(found != b"ok"))
        except (OSError, sqlite3.Error) as error:
            if not _is_damage(error):
                self._fail(self._path, error)
                return []
            n_lost = max(n_lost, 1)
        if n_lost:
            self._set_aside(self._path)
        self._loaded = True
        old = self._path.with_suffix(".jsonl")
        if n_lost or old.exists():
            taken_over, n_unreadable = _read_old_spool(old)
            stored += taken_over
            n_lost += n_unreadable
            if self._change(lambda database: database.executemany(_INSERT, map(_row, stored))):
                old.unlink(missing_ok=True)
        self.n_lost += n_lost
        return stored

    def _take_out(self) -> None:
        def delete(database: sqlite3.Connection) -> None:
            database.executemany(_DELETE, [(_key(event_id),) for event_id in self._done])
            database.execute("DELETE FROM room")

        if self._change(delete):
            self._done.clear()

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> bool:
        """Change the database, as a whole or not at all; a failure becomes the problem."""
        if self._path is None:
            return True
        try:
            with self._opened(self._path) as database:
                change(database)
        except (OSError, sqlite3.Error) as error:
            self._fail(self._path, error)
            return False
        return True

    def _opened(self, path: Path) -> sqlite3.Connection:
        if self._database is None:
            path.parent.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=0, check_same_thread=False)
            self._database.text_factory = bytes  # what is damaged may be no text
            self._database.executescript(_SCHEMA)
        return self._database

    def _fail(self, path: Path, error: OSError | sqlite3.Error) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self.problem = f"cannot write {path}: {reason}"
        self.close()
        if _is_damage(error):
            self._set_aside(path)  # `mend` writes a new one: what waits is in memory

    def _set_aside(self, path: Path) -> None:
        self.close()
        _log.warning("%s is damaged and set aside as %s", path, path.with_suffix(".damaged").name)
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
        for name in ("-journal", "-wal", "-shm"):
            with suppress(OSError):
                path.with_name(path.name + name).unlink(missing_ok=True)


def _is_damage(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return False
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _OF_THE_SYSTEM


def _read_old_spool(path: Path) -> tuple[list[Envelope], int]:
    """Return the events in the journal of an earlier version, and how many cannot be read.

    It has one line per event, the oldest first, and, once that was delivered, a line
    ``{"done": "<id>"}``.
    """
    waiting: dict[str, Envelope] = {}
    unreadable = 0
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            content = json.loads(line)
            if "done" in content:
                waiting.pop(content["done"], None)
            else:
                event_id = str(content["id"])
                waiting[event_id] = Envelope(event_id, str(content["event"]), True, line)
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += 1
    return list(waiting.values()), unreadable


def _row(envelope: Envelope) -> tuple[bytes, bytes, bytes, int]:
    key, event = _key(envelope.id), _key(envelope.event)
    return key, event, envelope.payload, _checksum(key, event, envelope.payload)


def _envelope(key: bytes, event: bytes, payload: bytes, checksum: int) -> Envelope:
    if checksum != _checksum(key, event, payload):
        raise ValueError("the row is damaged")
    return Envelope(_text(key), _text(event), True, payload)


def _checksum(key: bytes, event: bytes, payload: bytes) -> int:
    return zlib.crc32(b"\0".join((key, event, payload)))


def _key(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a machine's name may be no UTF-8


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
