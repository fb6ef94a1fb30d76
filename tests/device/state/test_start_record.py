"""How starts and ends are remembered, and what people are told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from device.made_events import STARTED, STOPPED

from edge_asd.events.event import Event, FaultClearedEvent, NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import ScoredWindow
from edge_asd.state.atomic import write_atomically
from edge_asd.state.start_record import StartRecord, pause_s

BEGIN = datetime(2026, 11, 22, 3, tzinfo=UTC)
SILENCE = np.zeros((2, 10), np.float32)
WINDOW = ScoredWindow(0, SILENCE, WindowScore(1.0, {}), 0.0)


class Run:
    """One start so many seconds after the first, and what it says."""

    def __init__(self, folder: Path, after_s: float = 0.0, *, boot: str = "one") -> None:
        self.now = BEGIN + timedelta(seconds=after_s)
        self.record = StartRecord(
            folder / "start.json",
            "pump",
            lambda: self.now,
            write=write_atomically,
            boot=boot,
        )
        self.events: list[Event] = []
        self.stream_s = 0.0

    def at(self) -> Moment:
        return Moment(self.now, self.stream_s, "pump")

    def go_on(self, seconds: float, *, scores: bool = True) -> Run:
        """Hear so much, with or without scores."""
        self.record.on_event(replace(STARTED, time=self.now))
        for _ in range(round(seconds)):
            self.stream_s += 1
            self.now += timedelta(seconds=1)
            self.events += self.record.on_block(self.at(), SILENCE)
            if scores:
                self.events += self.record.on_window(self.at(), WINDOW, "normal")
        return self

    def end(self, reason: str = "interrupted") -> None:
        self.record.on_event(replace(STOPPED, reason=reason))

    def told(self) -> list[str]:
        return [
            event.notice if isinstance(event, NoticeEvent) else event.event for event in self.events
        ]


def restarted(run: Run) -> NoticeEvent:
    (notice,) = [event for event in run.events if isinstance(event, NoticeEvent)]
    return notice


def test_the_first_failed_start_is_told_and_the_next_ones_are_not(tmp_path: Path) -> None:
    told = [Run(tmp_path, after_s).record.failed("no bundle") for after_s in (0, 30, 60)]

    assert told[0] is not None
    assert (told[0].fault, told[0].detail) == ("start", "no bundle")
    assert told[1:] == [None, None]


def test_a_start_that_fails_for_hours_is_told_again(tmp_path: Path) -> None:
    Run(tmp_path).record.failed("no bundle")

    again = Run(tmp_path, 7 * 3600).record.failed("no bundle")

    assert again is not None
    assert again.figures == {"failures": 2}


def test_a_start_that_fails_for_another_reason_is_told(tmp_path: Path) -> None:
    Run(tmp_path).record.failed("no bundle")

    again = Run(tmp_path, 30).record.failed("no machine")

    assert again is not None
    assert (again.detail, again.figures) == ("no machine", {"failures": 2})


def test_scores_after_failed_starts_end_the_fault_once(tmp_path: Path) -> None:
    for after_s in (0, 30):
        Run(tmp_path, after_s).record.failed("no bundle")

    run = Run(tmp_path, 90).go_on(70)

    (over,) = run.events
    assert isinstance(over, FaultClearedEvent)
    assert (over.duration_s, over.figures) == (91, {"failures": 2})
    run.end()
    assert Run(tmp_path, 300).go_on(1).events == []


def test_sound_without_scores_does_not_end_the_fault(tmp_path: Path) -> None:
    Run(tmp_path).record.failed("no bundle")

    assert Run(tmp_path, 30).go_on(100, scores=False).events == []


@pytest.mark.parametrize(("boot", "why"), [("one", "it was killed"), ("two", "the power was cut")])
def test_an_end_without_a_word_is_a_notice_with_how_long_nothing_was_heard(
    tmp_path: Path, boot: str, why: str
) -> None:
    Run(tmp_path).go_on(1000)

    notice = restarted(Run(tmp_path, 1030, boot=boot).go_on(1))

    assert why in notice.text
    assert 30 <= float(notice.figures["down_s"]) <= 50
    assert notice.figures["failures"] == 1


def test_an_error_while_it_runs_is_told_at_once_and_the_next_run_says_so(tmp_path: Path) -> None:
    run = Run(tmp_path).go_on(100)
    run.end("failed: RuntimeError: out of range")
    told = run.record.failed("RuntimeError: out of range")

    after = Run(tmp_path, 120).go_on(1)

    assert told is not None
    assert told.detail == "RuntimeError: out of range"
    assert after.told() == ["restarted", "fault_cleared"]
    assert "RuntimeError: out of range" in restarted(after).text


def test_a_kill_after_the_first_second_is_told_too(tmp_path: Path) -> None:
    Run(tmp_path)

    assert Run(tmp_path, 10).go_on(1).told() == ["restarted"]


def test_a_clean_end_is_no_news(tmp_path: Path) -> None:
    Run(tmp_path).go_on(100).end()

    assert Run(tmp_path, 600).go_on(1).events == []


def test_a_watchdog_that_restarts_a_deaf_monitor_again_and_again_is_told_once(
    tmp_path: Path,
) -> None:
    Run(tmp_path).go_on(100)

    runs = [Run(tmp_path, 200.0 * i).go_on(10, scores=False) for i in range(1, 10)]

    assert [run.told() for run in runs] == [["restarted"]] + [[]] * 8
    assert runs[-1].record.failures == 9


def test_runs_that_score_and_end_soon_are_told_and_counted(tmp_path: Path) -> None:
    told: list[list[str]] = []
    for i in range(6):
        run = Run(tmp_path, 100.0 * i).go_on(10)
        told.append(run.told() + ["failed"] * (run.record.failed("RuntimeError") is not None))

    assert told == [
        ["failed"],
        ["restarted", "fault_cleared", "failed"],
        ["restarted"],
        ["restarted"],
        [],
        [],
    ]
    assert run.record.failures == 6


def test_every_unwanted_end_is_counted_for_ever(tmp_path: Path) -> None:
    Run(tmp_path).go_on(100)
    Run(tmp_path, 200).go_on(100).record.failed("RuntimeError")
    Run(tmp_path, 400).go_on(100).end()

    assert Run(tmp_path, 600).record.before.unwanted_ends == 2


def test_a_minute_of_scores_ends_the_row(tmp_path: Path) -> None:
    for i in range(5):
        Run(tmp_path, 100.0 * i).go_on(10).record.failed("RuntimeError")

    run = Run(tmp_path, 600).go_on(70)

    assert run.told() == ["fault_cleared"]
    assert run.record.failures == 0


def test_starts_that_end_without_a_word_are_told_before_the_next_one_tries(tmp_path: Path) -> None:
    runs = [Run(tmp_path, 20.0 * i) for i in range(4)]

    assert [run.record.crashes_in_a_row for run in runs] == [0, 1, 2, 3]
    assert Run(tmp_path, 3600.0).record.crashes_in_a_row == 0
    told = runs[-1].record.crashed()
    assert told is not None
    assert "it crashed" in told.detail


@pytest.mark.parametrize("scores", [True, False])
def test_crashes_at_the_first_scores_are_crashes_too(tmp_path: Path, scores: bool) -> None:
    runs = [Run(tmp_path, 40.0 * i).go_on(12, scores=scores) for i in range(3)]

    assert runs[-1].record.crashes_in_a_row == 2


def test_the_pauses_between_starts_grow_to_five_minutes() -> None:
    assert [pause_s(failures) for failures in range(1, 9)] == [0, 10, 30, 70, 150, 290, 290, 290]


@pytest.mark.parametrize("clock", [datetime(1970, 1, 1, tzinfo=UTC), BEGIN + timedelta(days=1)])
def test_what_was_lost_is_not_made_up_from_a_clock_that_was_set(
    tmp_path: Path, clock: datetime
) -> None:
    run = Run(tmp_path)
    run.now = clock
    run.go_on(20)

    notice = restarted(Run(tmp_path, 60).go_on(1))

    assert "is not known" in notice.text
    assert "down_s" not in notice.figures


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "start.json").write_text(
        '{"running": false, "alive": null, "failures": 3, "failing_since": '
        '"2026-11-22T02:00:00.123456+00:00", "told": "2026-11-22T02:00:00.123456+00:00", '
        '"restart_told": null, "error": "no bundle", "version": 1}\n'
    )

    (over,) = Run(tmp_path).go_on(1).events

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

    told = Run(tmp_path).record.failed("no bundle")

    assert told is not None
    assert told.figures == {"failures": 1}
    assert Run(tmp_path).go_on(1).told() == ["fault_cleared"]
