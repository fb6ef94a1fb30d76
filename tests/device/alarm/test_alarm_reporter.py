"""The reporter of an alarm: what is told when parts around it fail."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from edge_asd.alarm.life_cycle import Alarm, AlarmMemory, OpenAlarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter, WindowFacts
from edge_asd.alarm.store import AlarmStore
from edge_asd.events.event import AlarmClearedEvent, AlarmRaisedEvent
from edge_asd.events.moment import Moment
from edge_asd.explain.explanation import Explanation
from edge_asd.outputs.outbox import Outbox

BEGIN = datetime(2026, 11, 22, 3, tzinfo=UTC)
FACTS = WindowFacts(
    window_start_s=0.0,
    score=2.0,
    threshold=1.0,
    clear_threshold=0.5,
    branches={},
    level_dbfs={"near": -40.0, "far": -40.0},
)

QUIET = WindowFacts(**{**FACTS, "score": 0.0})


def a_reporter(store: AlarmStore | None = None, memory: AlarmMemory | None = None) -> AlarmReporter:
    names = iter(("pump-1", "pump-2"))
    alarm = Alarm(AlarmPolicy(1.0, 0.5, 0.0, 0.0), lambda _: next(names), memory)
    return AlarmReporter(alarm, store, utc=utc)


def utc(stream_time_s: float) -> datetime:
    return BEGIN + timedelta(seconds=stream_time_s)


def at(stream_time_s: float) -> Moment:
    return Moment(utc(stream_time_s), stream_time_s, "pump")


def test_an_alarm_that_cannot_be_explained_is_an_alarm_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explain() -> Explanation:
        raise ValueError("need at least one array to stack")

    reporter = a_reporter()

    (raised,) = reporter.window(at(1.0), FACTS, explain)

    assert isinstance(raised, AlarmRaisedEvent)
    assert (raised.alarm_id, raised.explanation) == ("pump-1", None)
    assert "could not be explained" in caplog.text


def test_an_alarm_and_its_memory_are_handed_over_together_and_once() -> None:
    reporter = a_reporter(AlarmStore(Outbox(None, lambda _: None), utc))
    reporter.unsaved()

    before = reporter.unsaved()
    reporter.window(at(1.0), FACTS, lambda: None)
    memory = reporter.unsaved()

    assert before == {}
    assert json.loads(memory["alarm"])["alarm_id"] == "pump-1"
    assert reporter.unsaved() == {}


def test_shelving_an_open_alarm_clears_it() -> None:
    reporter = a_reporter()
    reporter.window(at(1.0), FACTS, lambda: None)

    cleared, shelved = reporter.shelve(at(61.0), utc(600.0), "cleaning")

    assert cleared is not None
    assert (cleared.event, cleared.alarm_id, cleared.max_score) == ("alarm_cleared", "pump-1", 2.0)
    assert (cleared.duration_s, cleared.score) == (60.0, FACTS["score"])
    assert shelved.alarm_id == "pump-1"
    assert reporter.alarm.state == "shelved"


def test_an_alarm_of_before_the_start_can_be_shelved_before_the_first_window() -> None:
    reporter = a_reporter(memory=AlarmMemory(OpenAlarm("old", -20.0, 7.0)))

    cleared, _ = reporter.shelve(at(1.0), utc(600.0), "")

    assert cleared is not None
    assert (cleared.alarm_id, cleared.duration_s) == ("old", 21.0)
    assert cleared.to_dict()["score"] is None


def test_shelving_without_an_alarm_clears_none() -> None:
    cleared, shelved = a_reporter().shelve(at(1.0), utc(600.0), "")

    assert cleared is None
    assert shelved.alarm_id is None


class LateStore(AlarmStore):
    """A store whose disk answers after the start."""

    def __init__(self, memory: AlarmMemory) -> None:
        super().__init__(Outbox(None, lambda _: None), utc)
        self._late: AlarmMemory | None = memory

    def late(self) -> AlarmMemory | None:
        late, self._late = self._late, None
        return late


def test_an_alarm_that_becomes_known_after_the_start_goes_on_under_its_id() -> None:
    reporter = a_reporter(LateStore(AlarmMemory(OpenAlarm("old", -20.0, 7.0))))

    assert reporter.tick(at(1.0)) == []
    (cleared,) = reporter.window(at(2.0), QUIET, lambda: None)

    assert isinstance(cleared, AlarmClearedEvent)
    assert (cleared.alarm_id, cleared.duration_s) == ("old", 22.0)


def test_an_alarm_that_another_has_replaced_meanwhile_is_cleared() -> None:
    reporter = a_reporter(LateStore(AlarmMemory(OpenAlarm("old", -20.0, 7.0))))
    reporter.window(at(1.0), FACTS, lambda: None)

    (cleared,) = reporter.tick(at(1.5))

    assert isinstance(cleared, AlarmClearedEvent)
    assert cleared.alarm_id == "old"
    assert reporter.alarm.alarm_id == "pump-1"
