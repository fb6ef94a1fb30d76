"""The database of a machine's history: one writer, and readers at any time.

A commit is on the disk when it returns. After a power cut SQLite drops what was not committed;
a file that is damaged nevertheless is moved aside, and a new one begins.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from edge_asd.errors import StateError
from edge_asd.events.event import Event
from edge_asd.history.ages import SPECTRA, SUMMARIES, Span, cutoff
from edge_asd.history.minute import Minute
from edge_asd.history.rows import (
    COLUMNS,
    EVENT_COLUMNS,
    MIGRATIONS,
    SPECTRUM_COLUMNS,
    summary_of,
    values_of,
)
from edge_asd.history.spectrum import Spectrum
from edge_asd.history.summary import Summary

__all__ = [
    "DAMAGED",
    "DamagedHistoryError",
    "HistoryDatabase",
    "NewerHistoryError",
    "connected",
    "is_damage",
]

DAMAGED = "history.damaged.db"

_LEAST_BYTES = 512  # of a database: its smallest page
_RESERVE_BYTES = 16_000_000  # of the disk, for what matters more
_MOST_BYTES = 180_000_000  # of the file; with the log beside it below 200 MB
_PROOF = 60  # minutes that a time of the clock is recorded before anything is forgotten by it
_WAL_BYTES = 4_000_000
# "No such table" is SQLITE_ERROR: the file is a database, but not this one.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
Kept = TypeVar("Kept")
_COMPANIONS = ("", "-wal", "-shm", "-journal")


class DamagedHistoryError(StateError):
    """What is in the file is not what was written."""


class NewerHistoryError(StateError):
    """A later version of this program has written the file."""


class HistoryDatabase:
    """Writes minutes and events; for one thread.

    Every method raises OSError or :class:`sqlite3.Error` when the disk does not do its part, and
    DamagedHistoryError or NewerHistoryError when the file is not one that can be written to.
    Nothing is changed then, and the same call may be tried again.

    Parameters
    ----------
    path : of the file, made when there is none
    sample_rate_hz : of the spectra
    reserve_bytes : of the disk that are left to others
    """

    def __init__(
        self, path: Path, sample_rate_hz: int, *, reserve_bytes: int = _RESERVE_BYTES
    ) -> None:
        self.path = path
        self._rate_hz = sample_rate_hz
        self._reserve_bytes = reserve_bytes
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which one is open
        self._hour: int | None = None  # when something was forgotten last

    def write(self, minutes: Sequence[Minute], events: Iterable[Event]) -> None:
        """Put minutes into all tables, keep events, and forget what is old enough."""
        try:
            self._require_room()
            with self._opened() as database:
                database.execute("BEGIN IMMEDIATE")
                for minute in minutes:
                    self._add(database, minute)
                database.executemany(
                    f"INSERT OR IGNORE INTO events ({', '.join(EVENT_COLUMNS)}) "
                    "VALUES (?, ?, ?, ?)",
                    map(_event_row, events),
                )
                if minutes and self._hour != minutes[-1].start // 3600:
                    _forget(database, minutes[-1].start)
        except BaseException as error:
            self.close()
            if is_damage(error):
                raise DamagedHistoryError(str(error)) from error
            raise
        if minutes:
            self._hour = minutes[-1].start // 3600

    def move_aside(self) -> Path:
        """Rename the file; return what it is called now. One that was renamed before goes."""
        self.close()
        aside = self.path.with_name(DAMAGED)
        for suffix in _COMPANIONS:
            old, new = (path.with_name(path.name + suffix) for path in (self.path, aside))
            new.unlink(missing_ok=True)
            if old.exists():
                old.rename(new)
        return aside

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _add(self, database: sqlite3.Connection, minute: Minute) -> None:
        for span in SUMMARIES:
            start = span.start(minute.start)
            row = _row(database, span.table, COLUMNS, start)
            summary = Summary(start=start) if row is None else _known(summary_of, row)
            _replace(database, span.table, COLUMNS, values_of(summary.plus(minute)))
        if minute.band_energy is None:
            return
        for span in SPECTRA:
            start = span.start(minute.start)
            row = _row(database, span.table, SPECTRUM_COLUMNS, start)
            spectrum = Spectrum.nothing(start, self._rate_hz)
            if row is not None and row[1] == self._rate_hz:  # of another rate it has other bands
                spectrum = _known(Spectrum.from_row, *row)
            grown = spectrum.plus(minute.band_energy, minute.spectra)
            _replace(database, span.table, SPECTRUM_COLUMNS, grown.to_row())

    def _require_room(self) -> None:
        free = os.statvfs(self.path.parent)
        if free.f_bavail * free.f_frsize < self._reserve_bytes:
            raise OSError(
                errno.ENOSPC, f"less than {self._reserve_bytes / 1e6:.0f} MB of the disk are free"
            )

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and self._file != _identity(self.path):
            self.close()  # somebody removed it, or put another in its place
        if self._database is None:
            size = self.path.stat().st_size if self.path.exists() else 0
            if 0 < size < _LEAST_BYTES:
                raise DamagedHistoryError("the file is cut short")  # SQLite takes it for new
            database = connected(self.path)
            try:
                _prepare(database, self.path)
            except BaseException:
                database.close()
                raise
            self._database, self._file = database, _identity(self.path)
        return self._database


def is_damage(error: BaseException) -> bool:
    """Whether an error is about the content of the file, and not about the disk below it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def connected(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database; it is not looked into yet."""
    mode = "ro" if read_only else "rwc"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=2.0, isolation_level=None
    )


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Check the file, and bring it to this version."""
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DamagedHistoryError(" ".join(str(found).split()))
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise NewerHistoryError(
            f"{path} is of version {version}, and this edge-asd knows version {len(MIGRATIONS)}; "
            "update edge-asd, or move the file away"
        )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # NORMAL would lose minutes with the power
    database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    for number in range(version, len(MIGRATIONS)):
        database.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
        )


def _forget(database: sqlite3.Connection, now_s: int) -> None:
    found = database.execute(
        f"SELECT start FROM {SUMMARIES[0].table} ORDER BY start DESC LIMIT 1 OFFSET {_PROOF}"
    ).fetchone()
    for span in (*SUMMARIES, *SPECTRA):
        before = cutoff(span, now_s, found[0] if found else None)
        if before is not None:
            database.execute(f"DELETE FROM {span.table} WHERE start < ?", [before])
        _keep_newest(database, span)
    pages, free, page_bytes = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * page_bytes > _MOST_BYTES:  # only events can be so many
        database.execute(
            "DELETE FROM events WHERE number <= "
            "(SELECT MIN(number) + (MAX(number) - MIN(number)) / 10 FROM events)"
        )


def _keep_newest(database: sqlite3.Connection, span: Span) -> None:
    """Bound a table whose times are not to be trusted."""
    if span.keep_s is not None:
        database.execute(
            f"DELETE FROM {span.table} WHERE start < "
            f"(SELECT start FROM {span.table} ORDER BY start DESC LIMIT 1 OFFSET ?)",
            [2 * span.keep_s // span.seconds],
        )


def _known(parse: Callable[..., Kept], *row: Any) -> Kept:
    """What a row holds."""
    try:
        return parse(*row)
    except ValueError as error:
        raise DamagedHistoryError(f"a row is damaged: {error}") from error


def _row(
    database: sqlite3.Connection, table: str, columns: Sequence[str], start: int
) -> tuple[Any, ...] | None:
    select = f"SELECT {', '.join(columns)} FROM {table} WHERE start = ?"
    row: tuple[Any, ...] | None = database.execute(select, [start]).fetchone()
    return row


def _replace(
    database: sqlite3.Connection, table: str, columns: Sequence[str], values: Sequence[object]
) -> None:
    marks = ", ".join("?" * len(columns))
    database.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})", values
    )


def _event_row(event: Event) -> tuple[bytes, int, str, bytes]:
    # A machine's name may be no UTF-8, which SQLite's text has to be.
    key, content = (text.encode("utf-8", "surrogatepass") for text in (event.id, event.to_json()))
    return key, round(event.time.timestamp() * 1000), event.event, content


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
