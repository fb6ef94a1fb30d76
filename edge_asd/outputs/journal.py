"""Durable events, and the memory that belongs to them, in one database on disk.

What one call of :meth:`Journal.write` was given is there as a whole or not at all, also when the
power fails right after the call. A database that is damaged is never overwritten: what can be
read of it goes into a new one, the old one stays beside it, and what is missing is counted.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import stat
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from edge_asd.outputs import Envelope
from edge_asd.state.atomic import flush_to_disk

__all__ = [
    "Content",
    "Journal",
    "Waiting",
    "_require_plain",
    "is_damage",
    "memory_in",
    "name_aside",
    "readable_rows",
]

_log = logging.getLogger(__name__)

# No write-ahead log: one damaged bit in it would take all that was written later with it.
# What was deleted is overwritten, so that what a damaged file holds can be counted.
_SCHEMA = """
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = TRUNCATE;
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS events
        (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB UNIQUE, event BLOB, payload BLOB,
        outputs BLOB, checksum INTEGER);
    CREATE TABLE IF NOT EXISTS memory (name BLOB PRIMARY KEY, content BLOB, checksum INTEGER);
    CREATE TABLE IF NOT EXISTS room (filler BLOB);
"""
_COLUMNS = "id, event, payload, outputs, checksum"
_KEEP = f"""
    INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET outputs = excluded.outputs, checksum = excluded.checksum
"""
# Written before a problem of the disk counts as over: the events that tell so must fit, too.
_ROOM_BYTES = 16_384
_PAGE_BYTES = 4096
_LEAST_BYTES = 512  # of a database: its smallest page
_MOST_BYTES = 128_000_000  # several times what may wait for all outputs; the rest is not looked at
_MOST_ROW_BYTES = 32_000_000
_EVENT = re.compile(rb'\{"event": "[a-z_]+", "id": "((?:[^"\\]|\\.)+)"')
# Errors that pass, or are the disk's; any other means that the file is not what it was.
_OF_THE_SYSTEM = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
}

Waiting = tuple[Envelope, frozenset[str]]  # an event, and the outputs that have to deliver it


@dataclass(slots=True)
class Content:
    """What a journal holds, the oldest event first."""

    events: list[Waiting] = field(default_factory=list)
    memory: dict[str, bytes] = field(default_factory=dict)
    n_lost: int = 0  # events that could not be read, at least
    aside: Path | None = None  # where the file is that they were in


class Journal:
    """The database; for one thread.

    Every method raises OSError or :class:`sqlite3.Error` when the disk does not do its part;
    nothing is changed then, and the same call may be tried again.

    Parameters
    ----------
    path : of the file, made when there is none
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None  # of the open database

    def load(self, *, give_up: bool = False) -> Content:
        """Read everything; a damaged file is replaced by what could be read of it.

        Parameters
        ----------
        give_up : what the disk cannot read counts as damaged, for it has been tried before
        """
        self.close()
        fresh = self.path.with_suffix(".new")
        if fresh.exists() and not self.path.exists():
            fresh.replace(self.path)  # the power failed in `replace`
        content, damage = self._read()
        if damage is not None:
            # A disk that failed once makes SQLite call the file malformed, too.
            self.close()
            content, damage = self._read()
        if damage is None:
            return content
        if not (give_up and _is_of_the_disk(damage)):
            if not is_damage(damage):
                raise damage
            if not give_up:
                _ids_in(self.path, strict=True)  # raises when it is the disk
        read = {found for event, _ in content.events for found in _EVENT.findall(event.payload)}
        missing = len(_ids_in(self.path) - read)
        content.n_lost = max(content.n_lost, missing, 1)
        content.aside = self.replace(content.events, content.memory)
        _log.warning("%s is damaged (%s) and kept as %s", self.path, damage, content.aside)
        return content

    def write(
        self,
        events: Iterable[Waiting],
        gone: Iterable[str],
        memory: Mapping[str, bytes],
        *,
        with_room: bool = False,
    ) -> None:
        """Keep events and memory, take out the events with the ids in `gone`.

        Parameters
        ----------
        with_room : succeed only when some more events will fit, too
        """
        try:
            self._require_file()
            with self._opened() as database:
                _write(database, events, gone, memory)
                if with_room:
                    database.execute("INSERT INTO room VALUES (zeroblob(?))", [_ROOM_BYTES])
        except (OSError, sqlite3.Error):
            self.close()
            raise

    def replace(self, events: Iterable[Waiting], memory: Mapping[str, bytes]) -> Path:
        """Begin a new file with this content; return what the old one is called now."""
        self.close()
        fresh = self.path.with_suffix(".new")
        for path in (fresh, _rollback_of(fresh)):
            path.unlink(missing_ok=True)
        with closing(_connected(fresh)) as database, database:
            _write(database, events, (), memory)
        _rollback_of(fresh).unlink(missing_ok=True)
        aside = name_aside(self.path)
        for old, new in ((self.path, aside), (_rollback_of(self.path), _rollback_of(aside))):
            if old.exists():
                old.rename(new)
        fresh.rename(self.path)
        flush_to_disk(self.path.parent)
        return aside

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = self._file = None

    def _read(self) -> tuple[Content, Exception | None]:
        """Read what can be read; return also why the rest cannot."""
        content = Content()
        damage: Exception | None = None
        try:
            size = self.path.stat().st_size if self.path.exists() else 0
            if 0 < size < _LEAST_BYTES:
                raise sqlite3.DatabaseError("the file is cut short")  # SQLite takes it for new
            if size > _MOST_BYTES:
                raise sqlite3.DatabaseError(f"it has {size} bytes, which no journal has")
            database = self._opened()
            damage = _read(database, content)
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != b"ok":
                damage = damage or sqlite3.DatabaseError(" ".join(_text(found).split()))
        except (OSError, sqlite3.Error) as error:
            damage = damage or error
        return content, damage

    def _require_file(self) -> None:
        """Notice that the file was removed: SQLite would go on with what nobody finds again."""
        if self._file is not None:
            try:
                there = os.path.samestat(self._file, self.path.stat())
            except FileNotFoundError:
                there = False
            if not there:
                raise FileNotFoundError(errno.ENOENT, "it was removed")

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self.path.parent.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            self._database = _connected(self.path)
            self._file = self.path.stat()
        return self._database


def memory_in(copy: bytes) -> dict[str, bytes]:
    """Return the memory in a copy of a journal, which may be in use; only what can be read."""
    content = Content()
    if not copy:
        return {}
    with closing(sqlite3.connect(":memory:")) as database, suppress(sqlite3.Error):
        database.text_factory = bytes
        database.deserialize(copy)
        _read(database, content)
    return content.memory


def is_damage(error: Exception) -> bool:
    """Whether an error is about the content of a database, and not about the disk below it."""
    if not isinstance(error, sqlite3.Error):
        return False
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _OF_THE_SYSTEM


def _is_of_the_disk(error: Exception) -> bool:
    """Whether the disk could not read, and not somebody else's lock or rights kept it from that."""
    if isinstance(error, OSError):
        return error.errno == errno.EIO
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


def name_aside(path: Path) -> Path:
    """Return a free name for a damaged file."""
    names = (
        path.with_suffix(f".damaged{suffix}") for suffix in chain([""], map("-{}".format, count(2)))
    )
    return next(name for name in names if not name.exists())


def readable_rows(
    database: sqlite3.Connection, table: str, columns: str
) -> tuple[list[tuple[Any, ...]], sqlite3.Error | None]:
    """Return the rows of a table before and after what cannot be read of it, and the error."""
    rows: list[list[tuple[Any, ...]]] = [[], []]
    failure = None
    try:
        _require_plain(database)
    except sqlite3.Error as error:
        return [], error
    for number, order in enumerate(("", "DESC")):
        try:
            select = f"SELECT {columns} FROM {table} ORDER BY rowid {order}"
            rows[number] += database.execute(select)
        except sqlite3.Error as error:
            failure = failure or error
        else:
            break
    return [*rows[0], *(row for row in reversed(rows[1]) if row not in rows[0])], failure


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=0)
    try:
        database.text_factory = bytes  # what is damaged may be no text
        _require_plain(database)
        database.executescript(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _require_plain(database: sqlite3.Connection) -> None:
    """Refuse what is more than rows: views, triggers and computed columns may never end.

    Raises
    ------
    sqlite3.DatabaseError
        When the file holds such, or cannot be read.
    """
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ROW_BYTES)
    tables = []
    for kind, name in database.execute("SELECT type, CAST(name AS BLOB) FROM sqlite_master"):
        if kind in (b"table", "table"):
            tables.append(_text(name))
        elif kind not in (b"index", "index"):
            raise sqlite3.DatabaseError("it holds views or triggers")
    for table in tables:
        quoted = table.replace('"', '""')
        columns = database.execute(f'PRAGMA table_xinfo("{quoted}")')
        if any(hidden for *_, hidden in columns):
            raise sqlite3.DatabaseError("it holds computed columns")


def _read(database: sqlite3.Connection, content: Content) -> Exception | None:
    """Read all rows that are whole; return what was wrong with the others."""
    rows, damage = readable_rows(database, "events", _COLUMNS)
    for row in rows:
        try:
            content.events.append(_waiting(*row))
        except (TypeError, ValueError, AttributeError) as error:
            content.n_lost += 1
            damage = damage or sqlite3.DatabaseError(str(error))
    rows, failure = readable_rows(database, "memory", "name, content, checksum")
    for name, remembered, checksum in rows:
        try:
            if checksum != _checksum(name, remembered):
                raise ValueError("a row is damaged")
            content.memory[_text(name)] = remembered
        except (TypeError, ValueError, AttributeError) as error:
            damage = damage or sqlite3.DatabaseError(str(error))
    return damage or failure


def _write(
    database: sqlite3.Connection,
    events: Iterable[Waiting],
    gone: Iterable[str],
    memory: Mapping[str, bytes],
) -> None:
    database.execute("DELETE FROM room")
    database.executemany(_KEEP, map(_row, events))
    database.executemany("DELETE FROM events WHERE id = ?", [(_key(name),) for name in gone])
    database.executemany(
        "INSERT OR REPLACE INTO memory VALUES (?, ?, ?)",
        [(_key(name), told, _checksum(_key(name), told)) for name, told in memory.items()],
    )


def _ids_in(path: Path, *, strict: bool = False) -> set[bytes]:
    """Ids, as they are in JSON, of the events whose beginning can be read in a file.

    Parameters
    ----------
    strict : raise the error of a page that the disk does not read, instead of going on
    """
    content = bytearray(min(path.stat().st_size, _MOST_BYTES))
    with path.open("rb", buffering=0) as file:
        for place in range(0, len(content), _PAGE_BYTES):
            with nullcontext() if strict else suppress(OSError):
                page = os.pread(file.fileno(), _PAGE_BYTES, place)
                content[place : place + len(page)] = page
    return set(_EVENT.findall(content))


def _rollback_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _row(waiting: Waiting) -> tuple[bytes, bytes, bytes, bytes, int]:
    envelope, outputs = waiting
    key, event, names = _key(envelope.id), _key(envelope.event), _key("\n".join(sorted(outputs)))
    return key, event, envelope.payload, names, _checksum(key, event, envelope.payload, names)


def _waiting(key: bytes, event: bytes, payload: bytes, names: bytes, checksum: int) -> Waiting:
    if checksum != _checksum(key, event, payload, names):
        raise ValueError("a row is damaged")
    outputs = frozenset(_text(names).split("\n"))
    return Envelope(_text(key), _text(event), True, payload), outputs


def _checksum(*columns: bytes) -> int:
    return zlib.crc32(b"\0".join(columns))


def _key(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a machine's name may be no UTF-8


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
