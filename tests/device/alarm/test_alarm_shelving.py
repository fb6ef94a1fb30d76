"""Acknowledging an alarm, and raising none for a while."""

from __future__ import annotations

import math

import pytest
from device.alarm_steps import (
    AT_ONCE,
    DAY_S,
    EXTREME,
    POLICY,
    alarm_after,
    name,
    policies,
    steps,
    take,
    told,
)
from hypothesis import given

from edge_asd.alarm.change import (
    Cleared,
    Raised,
    Unshelved,
)
from edge_asd.alarm.life_cycle import LONGEST_SHELVING_S, Alarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.errors import ControlError


def test_an_alarm_that_somebody_has_seen_clears_like_any_other() -> None:
    alarm = alarm_after(AT_ONCE, [3])

    assert alarm.acknowledge() == "alarm-at-1"
    assert (alarm.state, alarm.active) == ("acknowledged", True)
    assert told(alarm.update(2, 0)) == [("Cleared", 2)]


def test_there_must_be_an_alarm_to_acknowledge() -> None:
    alarm = alarm_after(POLICY, [3])

    with pytest.raises(ControlError, match="no alarm is on"):
        alarm.acknowledge()


def test_an_alarm_is_acknowledged_once() -> None:
    alarm = alarm_after(AT_ONCE, [3])
    alarm.acknowledge()

    with pytest.raises(ControlError, match="alarm-at-1 is acknowledged already"):
        alarm.acknowledge()


def test_the_next_alarm_is_not_acknowledged() -> None:
    alarm = alarm_after(AT_ONCE, [3])
    alarm.acknowledge()
    alarm.update(2, 0)

    alarm.update(3, 3)

    assert alarm.state == "alarm"


def test_no_alarm_is_raised_while_alarms_are_shelved() -> None:
    alarm = Alarm(EXTREME, name)

    assert alarm.shelve(0, until_s=10) is None
    assert [alarm.update(t, 9) for t in range(1, 10)] == [()] * 9
    assert (alarm.state, alarm.memory.shelved_until_s) == ("shelved", 10)


def test_a_fault_that_stays_is_raised_when_shelving_expires() -> None:
    alarm = Alarm(POLICY, name)
    alarm.shelve(0, until_s=10)
    for time_s in range(5, 10):
        alarm.update(time_s, 3)

    assert alarm.update(10, 3) == (
        Unshelved(10),
        Raised(10, 3, "alarm-at-10", since_s=5, rule="confirmed"),
    )


def test_shelving_closes_an_alarm_that_is_on() -> None:
    alarm = alarm_after(AT_ONCE, [3])

    assert alarm.shelve(1, until_s=60) == "alarm-at-1"
    assert not alarm.active
    assert alarm.update(2, 0) == ()


def test_a_fault_that_stays_is_a_new_alarm_after_unshelving() -> None:
    alarm = alarm_after(POLICY, [3, 3, 3])
    alarm.shelve(3, until_s=60)
    alarm.update(4, 3)

    alarm.unshelve()

    assert alarm.state == "warning"
    assert alarm.update(5, 3) == (Raised(5, 3, "alarm-at-5", since_s=1, rule="confirmed"),)


def test_shelving_expires_without_windows() -> None:
    alarm = Alarm(POLICY, name)
    alarm.shelve(0, until_s=10)

    assert alarm.tick(9) == ()
    assert alarm.tick(10) == (Unshelved(10),)
    assert alarm.state == "normal"
    assert alarm.tick(11) == ()


def test_shelving_again_moves_its_end() -> None:
    alarm = Alarm(POLICY, name)
    alarm.shelve(0, until_s=10)

    alarm.shelve(5, until_s=8)

    assert alarm.tick(8) == (Unshelved(8),)


@pytest.mark.parametrize(
    ("until_s", "complaint"),
    [
        (100.0, "passed already"),
        (math.nan, "passed already"),
        (100 + LONGEST_SHELVING_S + DAY_S, "at most 30 days"),
    ],
)
def test_an_impossible_end_of_shelving_is_refused(until_s: float, complaint: str) -> None:
    alarm = Alarm(POLICY, name)

    with pytest.raises(ControlError, match=complaint):
        alarm.shelve(100, until_s)

    assert alarm.state == "normal"


def test_what_is_not_shelved_cannot_be_unshelved() -> None:
    with pytest.raises(ControlError, match="not shelved"):
        Alarm(POLICY, name).unshelve()


@given(policy=policies, steps=steps)
def test_whatever_happens_an_alarm_is_raised_once_and_closed_once(
    policy: AlarmPolicy, steps: list[tuple[str, float]]
) -> None:
    alarm = Alarm(policy, name)
    on: str | None = None
    shelved_until_s = -math.inf

    for time_s, step in enumerate(steps, 1):
        for change in take(alarm, time_s, step):
            match change:
                case Raised():
                    assert on is None
                    assert time_s >= shelved_until_s
                    on = change.alarm_id
                case Cleared():
                    assert change.alarm_id == on
                    on = None
        if alarm.memory.shelved_until_s is not None:
            on = None
        shelved_until_s = alarm.memory.shelved_until_s or -math.inf
        assert alarm.alarm_id == on
