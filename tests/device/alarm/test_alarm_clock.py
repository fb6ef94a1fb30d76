"""What an alarm remembers while the clock of the device is wrong, and once it has been set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_asd.alarm.life_cycle import Alarm, AlarmMemory, OpenAlarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter, WindowFacts
from edge_asd.alarm.store import AlarmStore
from edge_asd.events.event import AlarmClearedEvent
from edge_asd.events.moment import Moment
from edge_asd.outputs.outbox import Outbox

RIGHT = datetime(2026, 11, 22, 8, tzinfo=UTC)  # when the monitor starts again
HALF_AN_HOUR = AlarmMemory(shelved_until_s=1800.0, shelved_for_s=1800.0)
FACTS = WindowFacts(
    window_start_s=0.0,
    score=0.0,
    threshold=1.0,
    clear_threshold=0.5,
    branches={},
    level_dbfs={"near": -40.0, "far": -40.0},
)


class Clock:
    """Of a stream; it can be set."""

    def __init__(self, start: datetime) -> None:
        self.start = start

    def utc(self, stream_time_s: float) -> datetime:
        return self.start + timedelta(seconds=stream_time_s)

    def at(self, stream_time_s: float) -> Moment:
        return Moment(self.utc(stream_time_s), stream_time_s, "pump")


def restarted(folder: Path, memory: AlarmMemory, clock: Clock) -> AlarmReporter:
    """A reporter whose monitor starts ten minutes after the run before."""
    before = AlarmStore(Outbox(None, lambda _: None), Clock(RIGHT - timedelta(minutes=10)).utc)
    (content,) = before.content(memory).values()
    (folder / "alarm.json").write_bytes(content)
    store = AlarmStore(Outbox(None, lambda _: None), clock.utc, folder / "alarm.json")
    alarm = Alarm(AlarmPolicy(1.0, 0.5, 0.0, 0.0), lambda _: "new", store.load())
    return AlarmReporter(alarm, store, utc=clock.utc)


@pytest.mark.parametrize("clock", [RIGHT - timedelta(days=1), datetime(1970, 1, 1, tzinfo=UTC)])
def test_shelving_lasts_no_longer_than_was_asked_for_while_the_clock_is_behind(
    tmp_path: Path, clock: datetime
) -> None:
    reporter = restarted(tmp_path, HALF_AN_HOUR, Clock(clock))

    assert reporter.alarm.memory.shelved_until_s == 1800.0


def test_shelving_ends_when_it_was_to_end_once_the_clock_is_set(tmp_path: Path) -> None:
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC))
    reporter = restarted(tmp_path, HALF_AN_HOUR, clock)
    clock.start = RIGHT

    reporter.clock_was_set()

    assert reporter.alarm.memory.shelved_until_s == 1200.0  # ten minutes were over at the restart
    assert reporter.shelved_until == RIGHT + timedelta(minutes=20)


def test_shelving_that_is_long_over_ends_once_the_clock_is_set(tmp_path: Path) -> None:
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC))
    reporter = restarted(tmp_path, HALF_AN_HOUR, clock)
    clock.start = RIGHT + timedelta(days=1)

    reporter.clock_was_set()
    (event,) = reporter.tick(clock.at(60.0))

    assert event.event == "alarm_unshelved"


def test_what_was_shelved_since_the_start_lasts_as_long_as_was_asked_for(tmp_path: Path) -> None:
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC))
    reporter = restarted(tmp_path, AlarmMemory(), clock)
    reporter.shelve(clock.at(100.0), clock.utc(700.0), "cleaning")
    clock.start = RIGHT

    reporter.clock_was_set()

    assert reporter.alarm.memory.shelved_until_s == 700.0
    (content,) = reporter.unsaved().values()
    assert b"2026-11-22T08:11:40" in content


def test_an_alarm_of_before_the_restart_has_lasted_since_then_once_the_clock_is_set(
    tmp_path: Path,
) -> None:
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC))
    reporter = restarted(tmp_path, AlarmMemory(open=OpenAlarm("old", 60.0, 2.0)), clock)
    clock.start = RIGHT

    reporter.clock_was_set()
    (cleared,) = reporter.window(clock.at(30.0), FACTS, lambda: None)

    assert isinstance(cleared, AlarmClearedEvent)
    assert cleared.duration_s == 570.0


def test_an_alarm_that_was_raised_by_a_clock_that_nobody_set_has_lasted_since_the_restart(
    tmp_path: Path,
) -> None:
    clock = Clock(RIGHT)
    memory = AlarmMemory(open=OpenAlarm("old", -1.7e9, 2.0))  # 1973
    reporter = restarted(tmp_path, memory, clock)

    (cleared,) = reporter.window(clock.at(30.0), FACTS, lambda: None)

    assert isinstance(cleared, AlarmClearedEvent)
    assert cleared.duration_s == 30.0
