"""How starts and ends are remembered, and what people are told of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_asd.events.event import Event, FaultClearedEvent, NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.state.atomic import write_atomically
from edge_asd.state.start_record import StartRecord

BEGIN = datetime(2026, 11, 22, 3, tzinfo=UTC)
SILENCE = np.zeros((2, 10), np.float32)


def begin(path: Path, after_s: float) -> tuple[StartRecord, Moment]:
    """A start so many seconds after the first."""
    now = BEGIN + timedelta(seconds=after_s)
    record = StartRecord(path / "start.json", "pump", lambda: now, write=write_atomically)
    return record, Moment(now, 1.0, "pump")


def hear(path: Path, after_s: float, *, clean: bool = False) -> list[Event]:
    """A start that hears something; what it says of the time before."""
    record, at = begin(path, after_s)
    events = list(record.on_block(at, SILENCE))
    if clean:
        record.close()
    return events


def test_the_first_failed_start_is_told_and_the_next_ones_are_not(tmp_path: Path) -> None:
    told = [begin(tmp_path, after_s)[0].failed("no bundle") for after_s in (0, 30, 60)]

    assert told[0] is not None
    assert (told[0].fault, told[0].detail) == ("start", "no bundle")
    assert told[1:] == [None, None]


def test_a_start_that_fails_for_hours_is_told_again(tmp_path: Path) -> None:
    begin(tmp_path, 0)[0].failed("no bundle")

    again = begin(tmp_path, 7 * 3600)[0].failed("no bundle")

    assert again is not None
    assert again.figures == {"failures": 2}


def test_a_start_that_succeeds_after_failures_ends_the_fault_once(tmp_path: Path) -> None:
    for after_s in (0, 30):
        begin(tmp_path, after_s)[0].failed("no bundle")

    (over,) = hear(tmp_path, 90, clean=True)

    assert isinstance(over, FaultClearedEvent)
    assert (over.duration_s, over.figures) == (90, {"failures": 2})
    assert hear(tmp_path, 120) == []


def test_a_power_cut_is_a_notice_with_how_long_nothing_was_heard(tmp_path: Path) -> None:
    hear(tmp_path, 0)

    (notice,) = hear(tmp_path, 600)

    assert isinstance(notice, NoticeEvent)
    assert notice.figures == {"down_s": 600}


def test_a_clean_end_is_no_news(tmp_path: Path) -> None:
    hear(tmp_path, 0, clean=True)

    assert hear(tmp_path, 600) == []


def test_a_watchdog_that_restarts_again_and_again_is_told_once(tmp_path: Path) -> None:
    hear(tmp_path, 0)

    notices = [len(hear(tmp_path, 180.0 * i)) for i in range(1, 10)]

    assert notices == [1] + [0] * 8


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "start.json").write_text(
        '{"running": false, "alive": null, "failures": 3, "failing_since": '
        '"2026-11-22T02:00:00.123456+00:00", "told": "2026-11-22T02:00:00.123456+00:00", '
        '"restart_told": null, "error": "no bundle", "version": 1}\n'
    )

    (over,) = hear(tmp_path, 0)

    assert isinstance(over, FaultClearedEvent)
    assert over.figures == {"failures": 3}


@pytest.mark.parametrize(
    "values",
    [
        {"failing_since": "0001-01-01T00:00:00+14:00"},  # leaves the calendar in UTC
        {"nonsense": 2},
        {"failures": "many", "told": "2026-11-22T02:00:00+00:00"},
        {"failing_since": "2026-11-22T02:00:00", "told": "2026-11-22T02:00:00+00:00"},
        {"running": True, "alive": "2026-11-22T02:00:00"},
        {"running": True, "alive": 7},
    ],
)
def test_a_broken_record_is_forgotten(tmp_path: Path, values: dict[str, object]) -> None:
    (tmp_path / "start.json").write_text(json.dumps({"version": 1} | values))

    told = begin(tmp_path, 0)[0].failed("no bundle")

    assert told is not None
    assert told.figures == {"failures": 1}
    assert [event.event for event in hear(tmp_path, 0)] == ["fault_cleared"]
