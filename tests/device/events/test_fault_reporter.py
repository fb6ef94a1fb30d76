"""What a fault reporter makes of the file that it left behind."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_asd.events.event import FaultClearedEvent
from edge_asd.events.fault import ended, noticed
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.moment import Moment
from edge_asd.outputs.outbox import Outbox

HOUR = "2026-11-22T08:30:00.000Z"
GOOD = {"fault": "disk", "severity": "impaired", "detail": "it is full", "since": HOUR}
LATER = Moment(datetime(2026, 11, 22, 9, tzinfo=UTC), 120.0, "pump")


def reporter_after(tmp_path: Path, content: object) -> FaultReporter:
    """A reporter that finds `content` in its file."""
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(content))
    return FaultReporter(file)


def test_a_fault_that_does_not_come_back_after_a_restart_is_over(tmp_path: Path) -> None:
    reporter = reporter_after(tmp_path, {"version": 1, "faults": [GOOD]})

    assert reporter.names == ["disk"]
    assert [event.event for event in reporter.settle(LATER, 120.0)] == ["fault_cleared"]
    assert reporter.names == []


def test_a_fault_that_only_another_version_knows_has_its_name_for_a_meaning(
    tmp_path: Path,
) -> None:
    reporter = reporter_after(tmp_path, {"version": 1, "faults": [GOOD | {"fault": "tides:low"}]})

    assert [status.meaning for status in reporter.status] == ["tides:low"]


def test_a_scored_window_ends_what_made_it_deaf_before_the_restart(tmp_path: Path) -> None:
    deaf = GOOD | {"fault": "capture_missing", "severity": "deaf"}
    reporter = reporter_after(tmp_path, {"version": 1, "faults": [GOOD, deaf]})

    (over,) = reporter.scored(LATER)

    assert isinstance(over, FaultClearedEvent)
    assert over.fault == "capture_missing"
    assert reporter.names == ["disk"]
    assert reporter.scored(LATER) == []


def test_a_fault_that_was_seen_again_is_not_over_with_a_window(tmp_path: Path) -> None:
    deaf = GOOD | {"fault": "signal_silent", "severity": "deaf"}
    reporter = reporter_after(tmp_path, {"version": 1, "faults": [deaf]})
    reporter.take(noticed("signal_silent", "digital silence"), LATER)

    assert reporter.scored(LATER) == []


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"faults": 5},
        {"faults": ["disk"]},
        {"faults": [GOOD | {"fault": ["disk"]}]},
        {"faults": [GOOD | {"severity": 7}]},
        {"faults": [GOOD | {"detail": None}]},
        {"faults": [GOOD | {"since": "yesterday"}]},
        {"faults": [GOOD | {"since": "2026-11-22T08:30:00"}]},
        {"faults": [GOOD | {"since": "0001-01-01T00:00:00+23:59"}]},
        {"faults": [GOOD | {"since": "9999-12-31T23:59:59-23:59"}]},
    ],
)
def test_a_damaged_file_is_forgotten_and_new_faults_are_told(
    tmp_path: Path, content: object, caplog: pytest.LogCaptureFixture
) -> None:
    reporter = reporter_after(tmp_path, content)

    assert "is forgotten" in caplog.text
    assert reporter.settle(LATER, 120.0) == []
    told = reporter.take(noticed("disk", "it is full"), LATER)
    assert [event.event for event in told] == ["fault_raised"]


def test_a_fault_that_a_clock_that_nobody_set_has_dated_lasted_since_the_restart(
    tmp_path: Path,
) -> None:
    content = {"faults": [GOOD | {"since": "1970-01-01T00:05:00Z"}]}
    reporter = reporter_after(tmp_path, content)

    (cleared,) = reporter.settle(LATER, 120.0)

    assert isinstance(cleared, FaultClearedEvent)
    assert cleared.duration_s == 0.0


def test_only_sound_shows_that_a_fault_is_over_and_not_the_time_without_a_card(
    tmp_path: Path,
) -> None:
    reporter = reporter_after(tmp_path, {"version": 1, "faults": [GOOD]})

    assert reporter.settle(Moment(LATER.time, 3600.0, "pump"), 0.1) == []
    assert reporter.names == ["disk"]


def test_a_fault_lasts_as_long_as_the_stream_says_whatever_the_clock_is_set_to() -> None:
    reporter = FaultReporter()
    reporter.take(noticed("capture_missing", "no card"), Moment(LATER.time, 10.0, "pump"))

    set_later = Moment(LATER.time + timedelta(days=3), 40.0, "pump")
    (over,) = reporter.take(ended("capture_missing", "audio again"), set_later)

    assert isinstance(over, FaultClearedEvent)
    assert over.duration_s == 30.0


def test_a_fault_that_goes_on_over_a_restart_lasts_from_its_first_beginning(
    tmp_path: Path,
) -> None:
    reporter = reporter_after(tmp_path, {"version": 1, "faults": [GOOD]})  # half an hour ago
    reporter.take(noticed("disk", "it is full"), LATER)

    (over,) = reporter.take(ended("disk", "there is room"), Moment(LATER.time, 130.0, "pump"))

    assert isinstance(over, FaultClearedEvent)
    assert over.duration_s == 1810.0


def test_the_status_says_what_is_the_matter_now() -> None:
    reporter = FaultReporter()
    reporter.take(noticed("capture_lost", "the sound card stopped"), LATER)

    assert reporter.take(noticed("capture_lost", "the sound card is busy"), LATER) == []
    assert [status.detail for status in reporter.status] == ["the sound card is busy"]


def test_a_fault_is_remembered_with_its_event_and_not_told_again(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(json.dumps({"faults": [GOOD]}))
    path = tmp_path / "journal.sqlite3"
    with closing(Outbox(path, lambda _: None)) as outbox:
        reporter = FaultReporter(tmp_path / "faults.json")
        reporter.go_on_from(outbox)
        told = reporter.take(noticed("clock", "not set"), LATER)
        with outbox.together(told, reporter.unsaved()):
            pass
        assert reporter.unsaved() == {}

    with closing(Outbox(path, lambda _: None)) as outbox:
        again = FaultReporter(tmp_path / "faults.json")
        again.go_on_from(outbox)
    assert again.names == ["disk", "clock"]
    assert again.take(noticed("clock", "not set"), LATER) == []
    assert not (tmp_path / "faults.json").exists()


def test_faults_that_become_known_after_the_start_are_over_when_they_do_not_come_back() -> None:
    class Late(Outbox):
        def late_memory(self, name: str) -> bytes | None:
            return json.dumps({"faults": [GOOD]}).encode()

    reporter = FaultReporter()
    reporter.go_on_from(Late(None, lambda _: None))

    assert reporter.collect(LATER) == []
    assert reporter.names == ["disk"]
    assert [event.event for event in reporter.settle(LATER, 120.0)] == ["fault_cleared"]
