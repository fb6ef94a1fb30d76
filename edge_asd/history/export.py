"""A history for other programs: CSV, and JSON lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, TextIO

from edge_asd.events.event import plain, strict_json, utc_text
from edge_asd.history.reading import History
from edge_asd.history.spectrum import log_spectrograph
from edge_asd.history.summary import Summary

__all__ = ["json_lines", "write_csv"]

# Columns of what has names of its own: the singular before the name.
_NAMED = {"branches": "branch", "states": "state", "faults": "fault", "events": "event"}
_INNER = ("start", "scores", *_NAMED)  # of a summary, told otherwise
_DIGITS = 3  # of levels in dB


def write_csv(history: History, file: TextIO) -> None:
    """Write a line for each summary.

    Seconds in each state and with each fault, and the number of events of each kind, are columns
    such as ``state_alarm`` and ``fault_capture_lost``; ``branch_`` columns are mean scores.
    """
    named = sorted(
        {
            f"{prefix}_{name}"
            for summary in history.summaries
            for column, prefix in _NAMED.items()
            for name in getattr(summary, column)
        }
    )
    plain_columns = [field.name for field in fields(Summary) if field.name not in _INNER]
    writer = csv.DictWriter(file, ["time", "span_s", *plain_columns, *named], restval="")
    writer.writeheader()
    for summary in history.summaries:
        row: dict[str, Any] = {"time": _time(summary.start), "span_s": history.span.seconds}
        row |= {name: getattr(summary, name) for name in plain_columns}
        for column, prefix in _NAMED.items():
            for name, value in getattr(summary, column).items():
                row[f"{prefix}_{name}"] = value[1] if column == "branches" else value
        writer.writerow(row)


def json_lines(history: History) -> Iterator[str]:
    """Return a JSON object for each summary, each spectrum and each event.

    ``record`` says which: the table, ``bands`` (the edges of the bands of the spectra that
    follow), or ``event``.
    """
    for summary in history.summaries:
        content = asdict(summary)
        for name in ("start", "scores"):
            del content[name]
        content["branches"] = {name: mean for name, (_, mean) in summary.branches.items()}
        yield _line(history.span.table, summary.start, history.span.seconds, content)
    rate_hz = None
    for spectrum in history.spectra:
        if spectrum.sample_rate_hz != rate_hz:
            rate_hz = spectrum.sample_rate_hz
            edges_hz = [round(hz, 1) for hz in log_spectrograph(rate_hz).edges_hz.tolist()]
            bands = {"record": "bands", "sample_rate_hz": rate_hz, "edges_hz": edges_hz}
            yield strict_json(bands)
        content = {
            "windows": spectrum.windows,
            "near_dbfs": spectrum.near_dbfs.round(_DIGITS).tolist(),
            "far_dbfs": spectrum.far_dbfs.round(_DIGITS).tolist(),
        }
        yield _line(
            history.spectra_span.table, spectrum.start, history.spectra_span.seconds, content
        )
    for event in history.events:
        yield strict_json({"record": "event"} | plain(event))


def _line(record: str, start: int, span_s: int, content: dict[str, Any]) -> str:
    return strict_json(plain({"record": record, "time": _time(start), "span_s": span_s} | content))


def _time(start: int) -> str:
    return utc_text(datetime.fromtimestamp(start, UTC))
