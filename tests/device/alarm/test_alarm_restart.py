"""What an alarm remembers over a restart."""

from __future__ import annotations

from dataclasses import replace

from device.alarm_steps import (
    DAY_S,
    POLICY,
    name,
    policies,
    steps,
    take,
)
from hypothesis import given

from edge_asd.alarm.change import (
    Change,
    Cleared,
    Unshelved,
)
from edge_asd.alarm.life_cycle import LONGEST_SHELVING_S, Alarm, AlarmMemory, OpenAlarm
from edge_asd.alarm.policy import AlarmPolicy


@given(policy=policies, before=steps, after=steps)
def test_after_a_restart_all_goes_on_but_warnings_are_forgotten(
    policy: AlarmPolicy, before: list[tuple[str, float]], after: list[tuple[str, float]]
) -> None:
    now_s = len(before)
    shift_s = float(now_s)  # the new stream begins at 0
    alarm = Alarm(policy, name)
    for time_s, step in enumerate(before, 1):
        take(alarm, time_s, step)

    memory = shifted(alarm.memory, -shift_s)
    restored = Alarm(policy, lambda time_s: name(time_s + shift_s), memory)
    alarm.interrupt()

    for time_s, step in enumerate(after, 1):
        expected = take(alarm, now_s + time_s, step)
        found = take(restored, time_s, step)
        assert [since_start(change, shift_s) for change in found] == list(expected)
        assert restored.state == alarm.state
    assert shifted(restored.memory, shift_s) == alarm.memory


def shifted(memory: AlarmMemory, by_s: float) -> AlarmMemory:
    """The same memory in seconds of another stream."""

    def moved(time_s: float | None) -> float | None:
        return None if time_s is None else time_s + by_s

    opened = memory.open and replace(memory.open, raised_at_s=memory.open.raised_at_s + by_s)
    return AlarmMemory(
        opened,
        moved(memory.holdoff_until_s),
        moved(memory.shelved_until_s),
        memory.shelved_for_s,
    )


def since_start(change: Change, by_s: float) -> Change:
    """The same change in seconds of the stream before the restart."""
    times = {
        field: getattr(change, field) + by_s
        for field in ("time_s", "since_s")
        if hasattr(change, field)
    }
    return replace(change, **times)


def test_shelving_that_expired_during_a_restart_is_told() -> None:
    alarm = Alarm(POLICY, name, AlarmMemory(shelved_until_s=-60.0))

    assert alarm.tick(0) == (Unshelved(0),)
    assert alarm.state == "normal"


def test_a_hold_off_that_ended_during_a_restart_is_over() -> None:
    assert Alarm(POLICY, name, AlarmMemory(holdoff_until_s=-1.0)).state == "normal"
    assert Alarm(POLICY, name, AlarmMemory(holdoff_until_s=1.0)).state == "cleared"


def test_a_clock_that_was_set_back_does_not_silence_the_alarm_for_years() -> None:
    years_s = 9 * 365 * DAY_S
    memory = AlarmMemory(holdoff_until_s=years_s, shelved_until_s=years_s)

    alarm = Alarm(POLICY, name, memory)

    assert alarm.memory == AlarmMemory(None, POLICY.holdoff_s, LONGEST_SHELVING_S)


def test_an_alarm_that_seems_to_come_from_the_future_lasts_from_the_restart() -> None:
    memory = AlarmMemory(OpenAlarm("early", raised_at_s=500.0, max_score=7.0, acknowledged=True))
    alarm = Alarm(POLICY, name, memory)

    assert alarm.state == "acknowledged"
    assert alarm.update(2, 0) == (Cleared(2, 0, "early", duration_s=2, max_score=7),)
