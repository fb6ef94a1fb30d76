"""The reporter of an alarm: what is told when parts around it fail."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta

import pytest

from edge_asd.alarm.life_cycle import Alarm, AlarmMemory
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter, WindowFacts
from edge_asd.alarm.store import AlarmStore
from edge_asd.events.event import AlarmRaisedEvent
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.explain.explanation import Explanation

BEGIN = datetime(2026, 11, 22, 3, tzinfo=UTC)
FACTS = WindowFacts(
    window_start_s=0.0,
    score=2.0,
    threshold=1.0,
    clear_threshold=0.5,
    branches={},
    level_dbfs={"near": -40.0, "far": -40.0},
)


class FullDisk(AlarmStore):
    """A store whose disk takes nothing as long as it is full."""

    def __init__(self) -> None:
        self.full = True
        self.attempts = 0

    def save(self, memory: AlarmMemory) -> None:
        self.attempts += 1
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_an_alarm_that_cannot_be_explained_is_an_alarm_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explain() -> Explanation:
        raise ValueError("need at least one array to stack")

    reporter = AlarmReporter(
        Alarm(AlarmPolicy(1.0, 0.5, 0.0, 0.0), lambda _: "pump-1"),
        None,
        utc=lambda stream_time_s: BEGIN + timedelta(seconds=stream_time_s),
        report=lambda _: None,
    )

    (raised,) = reporter.window(Moment(BEGIN, 1.0, "pump"), FACTS, explain)

    assert isinstance(raised, AlarmRaisedEvent)
    assert (raised.alarm_id, raised.explanation) == ("pump-1", None)
    assert "could not be explained" in caplog.text


def test_an_alarm_is_on_disk_only_after_it_was_told() -> None:
    store = FullDisk()
    store.full = False
    reporter = AlarmReporter(
        Alarm(AlarmPolicy(1.0, 0.5, 0.0, 0.0), lambda _: "pump-1"),
        store,
        utc=lambda stream_time_s: BEGIN + timedelta(seconds=stream_time_s),
        report=lambda _: None,
    )

    reporter.window(Moment(BEGIN, 1.0, "pump"), FACTS, lambda: None)
    while_told = store.attempts
    reporter.tick(Moment(BEGIN, 1.1, "pump"))

    assert (while_told, store.attempts) == (0, 1)


def test_a_full_disk_is_tried_again_now_and_then_and_not_with_every_block() -> None:
    store = FullDisk()
    reports: list[FaultChange] = []
    reporter = AlarmReporter(
        Alarm(AlarmPolicy(1.0, 0.5, 0.0, 0.0), lambda _: "pump-1"),
        store,
        utc=lambda stream_time_s: BEGIN + timedelta(seconds=stream_time_s),
        report=reports.append,
    )
    reporter.window(Moment(BEGIN, 1.0, "pump"), FACTS, lambda: None)

    for tick in range(600):
        reporter.tick(Moment(BEGIN, 1.0 + tick / 10, "pump"))
    attempts, store.full = store.attempts, False
    for tick in range(600):
        reporter.tick(Moment(BEGIN, 61.0 + tick / 10, "pump"))

    assert 2 <= attempts <= 10
    assert store.attempts == attempts + 1
    assert [(change.key, change.active) for change in reports] == [
        ("disk:alarm state", True),
        ("disk:alarm state", False),
    ]
