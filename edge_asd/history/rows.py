"""Tables of the history: their schema, in versions, and what a row is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from edge_asd.history.ages import SPECTRA, SUMMARIES
from edge_asd.history.summary import Summary

__all__ = ["COLUMNS", "EVENT_COLUMNS", "MIGRATIONS", "SPECTRUM_COLUMNS", "summary_of", "values_of"]

COLUMNS = tuple(field.name for field in fields(Summary))
SPECTRUM_COLUMNS = ("start", "sample_rate_hz", "windows", "near_dbfs", "far_dbfs")
EVENT_COLUMNS = ("id", "time_ms", "event", "content")

_SUMS = ("windows", "skipped", "heard_s", "deaf_s", "condition_s", "sound_s")
_OBJECTS = ("branches", "scores", "states", "faults", "events")  # as JSON

_SUMMARY_TABLE = """
    CREATE TABLE {table} (
        start INTEGER PRIMARY KEY, heard_s REAL, deaf_s REAL, windows INTEGER, skipped INTEGER,
        score_mean REAL, score_min REAL, score_p05 REAL, score_p25 REAL, score_p50 REAL,
        score_p75 REAL, score_p95 REAL, score_max REAL, threshold REAL, condition REAL,
        condition_s REAL, sound_s REAL, near_dbfs REAL, far_dbfs REAL, near_peak_dbfs REAL,
        far_peak_dbfs REAL, scores TEXT, branches TEXT, states TEXT, faults TEXT,
        events TEXT) STRICT;
"""
_SPECTRUM_TABLE = """
    CREATE TABLE {table} (
        start INTEGER PRIMARY KEY, sample_rate_hz INTEGER, windows INTEGER, near_dbfs BLOB,
        far_dbfs BLOB) STRICT;
"""
_EVENT_TABLE = """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY, id BLOB UNIQUE, time_ms INTEGER, event TEXT, content BLOB)
        STRICT;
    CREATE INDEX events_by_time ON events (time_ms);
"""

# Each takes the schema from the version that is its place in the list to the next one.
MIGRATIONS: tuple[str, ...] = (
    "".join(
        [
            *(_SUMMARY_TABLE.format(table=span.table) for span in SUMMARIES),
            *(_SPECTRUM_TABLE.format(table=span.table) for span in SPECTRA),
            _EVENT_TABLE,
        ]
    ),
)


def summary_of(row: Sequence[Any]) -> Summary:
    """Return what a row with `COLUMNS` holds.

    Raises
    ------
    ValueError
        When it is not what :func:`values_of` writes.
    """
    found = dict(zip(COLUMNS, row, strict=True))
    for name, value in found.items():
        if name in _OBJECTS:
            found[name] = _object(name, value)
        elif value is None and name in _SUMS:
            found[name] = 0
        elif value is not None:
            _require_number(name, value)
            if name in _SUMS and value < 0:
                raise ValueError(f"{name} of a row is {value}")
    found["branches"] = {name: (n, mean) for name, (n, mean) in found["branches"].items()}
    return Summary(**found)


def _object(name: str, text: Any) -> dict[str, Any]:
    content = json.loads(text) if isinstance(text, str) else None
    if not isinstance(content, dict):
        raise ValueError(f"{name} of a row is no JSON object")
    for value in content.values():
        pair = name == "branches"
        if pair != (isinstance(value, list) and len(value) == 2):
            raise ValueError(f"{name} of a row is not what was written")
        for number in value if pair else [value]:
            _require_number(name, number)
    return content


def _require_number(name: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} of a row is no number")


def values_of(summary: Summary) -> list[Any]:
    """Return the row with `COLUMNS`."""
    return [_value(getattr(summary, name)) for name in COLUMNS]


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(
            {key: _short(item) for key, item in sorted(value.items())}, separators=(",", ":")
        )
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(item: Any) -> Any:
    """Numbers as people read them; 15 digits of seconds would be most of a row."""
    if isinstance(item, tuple):
        return [_short(part) for part in item]
    if isinstance(item, int):
        return item
    return float(f"{item:.6g}") if math.isfinite(item) else 0.0
