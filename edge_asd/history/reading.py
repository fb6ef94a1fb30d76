"""Reads the history of a machine, also while its monitor writes it."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_asd.errors import StateError
from edge_asd.history.ages import SPECTRA, SUMMARIES, Span
from edge_asd.history.database import connected
from edge_asd.history.rows import (
    COLUMNS,
    EVENT_COLUMNS,
    MIGRATIONS,
    SPECTRUM_COLUMNS,
    summary_of,
)
from edge_asd.history.spectrum import Spectrum
from edge_asd.history.summary import Summary
from edge_asd.state.trust import require_regular

__all__ = ["History", "read_history"]

_MOST_ROWS = 200_000  # of a table
_MOST_BYTES = 1_000_000  # of a value
_WITHIN_S, _STEPS = 30.0, 100_000  # the time is looked at after so many steps of SQLite
_LAST_TIME_S = 253_402_300_799  # end of the year 9999, of which datetime knows no more


@dataclass(frozen=True, slots=True)
class History:
    """What was recorded from a time on, the oldest first."""

    span: Span  # of the summaries
    summaries: list[Summary]
    hours: list[Summary]
    days: list[Summary]
    spectra_span: Span
    spectra: list[Spectrum]
    events: list[dict[str, Any]]  # see docs/listening.md

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded."""
        return not (self.days or self.events)


def read_history(path: Path, since_s: int, until_s: int) -> History:
    """Read what lies between two times, in seconds since 1970, as finely as all of it is kept.

    Raises
    ------
    StateError
        When the file is no history, or of a later version.
    OSError
        FileNotFoundError when there is none.
    """
    require_regular(path)
    try:
        with closing(connected(path, read_only=True)) as database:
            # A service may have put there what it likes.
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
            end_s = time.monotonic() + _WITHIN_S
            database.set_progress_handler(lambda: time.monotonic() > end_s, _STEPS)
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StateError(
                    f"{path} is of version {version}, and this edge-asd knows version "
                    f"{len(MIGRATIONS)}; update edge-asd"
                )
            database.execute("BEGIN")  # all tables as they are at one moment
            return _read(database, since_s, min(until_s, _LAST_TIME_S))
    except (sqlite3.Error, ValueError, RecursionError) as error:
        raise StateError(
            f"{path} cannot be read: {error}; a running monitor moves a damaged one aside"
        ) from error


def _read(database: sqlite3.Connection, since_s: int, until_s: int) -> History:
    age_s = until_s - since_s

    def summaries(span: Span) -> list[Summary]:
        rows = _rows(database, span.table, COLUMNS, span.start(since_s), until_s)
        return [summary_of(row) for row in rows]

    span, spectra_span = (_finest(spans, age_s) for spans in (SUMMARIES, SPECTRA))
    _, hours, days = SUMMARIES
    found = {kept: summaries(kept) for kept in {span, hours, days}}
    table = spectra_span.table
    start = spectra_span.start(since_s)
    spectra = _rows(database, table, SPECTRUM_COLUMNS, start, until_s)
    events = database.execute(
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE time_ms BETWEEN ? AND ? "
        f"ORDER BY time_ms, number LIMIT {_MOST_ROWS}",
        [1000 * since_s, 1000 * until_s + 999],
    )
    return History(
        span=span,
        summaries=found[span],
        hours=found[hours],
        days=found[days],
        spectra_span=spectra_span,
        spectra=[Spectrum.from_row(*row) for row in spectra],
        events=[_event(content) for *_, content in events],
    )


def _finest(spans: tuple[Span, ...], age_s: int) -> Span:
    return next(span for span in spans if span.keep_s is None or age_s <= span.keep_s)


def _rows(
    database: sqlite3.Connection, table: str, columns: tuple[str, ...], since_s: int, until_s: int
) -> list[tuple[Any, ...]]:
    select = f"SELECT {', '.join(columns)} FROM {table} WHERE start BETWEEN ? AND ? ORDER BY start"
    return database.execute(f"{select} LIMIT {_MOST_ROWS}", [since_s, until_s]).fetchall()


def _event(content: bytes) -> dict[str, Any]:
    event = json.loads(content)
    if not isinstance(event, dict):
        raise ValueError("an event is no JSON object")
    datetime.fromisoformat(str(event.get("time")))
    return event
