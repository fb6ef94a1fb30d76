"""Alarms that are fed scores step by step, and steps for properties that hold whatever happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from edge_asd.alarm.change import (
    Change,
    Warned,
)
from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.errors import ControlError

POLICY = AlarmPolicy(threshold=2.0, clear_threshold=1.0, min_duration_s=2.0, holdoff_s=5.0)
AT_ONCE = AlarmPolicy(threshold=2.0, clear_threshold=1.0, min_duration_s=0.0, holdoff_s=0.0)
TWO_OF_FOUR = replace(AT_ONCE, confirm_n=2, confirm_m=4)
EXTREME = replace(POLICY, extreme_threshold=8.0)
DAY_S = 86_400.0


def name(time_s: float) -> str:
    return f"alarm-at-{time_s:g}"


def alarm_after(policy: AlarmPolicy, scores: Sequence[float]) -> Alarm:
    """An alarm that took the scores of windows that end at 1, 2, ..."""
    alarm = Alarm(policy, name)
    for time_s, score in enumerate(scores, 1):
        alarm.update(time_s, score)
    return alarm


def told(changes: Iterable[Change]) -> list[tuple[str, float]]:
    """What happened and when, warnings left out."""
    return [(type(c).__name__, c.time_s) for c in changes if not isinstance(c, Warned)]


def changes(
    policy: AlarmPolicy, scores: Sequence[float], *, hop_s: float = 1.0
) -> list[tuple[str, float]]:
    """What happened and when, for scores of windows that end at hop_s, 2 * hop_s, ..."""
    alarm = Alarm(policy, name)
    return told(
        change for i, score in enumerate(scores, 1) for change in alarm.update(i * hop_s, score)
    )


levels = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
policies = st.builds(
    lambda n, more, min_duration_s, holdoff_s, extreme: AlarmPolicy(
        2.0, 1.0, min_duration_s, holdoff_s, extreme, n, n + more
    ),
    n=st.integers(1, 4),
    more=st.integers(0, 3),
    min_duration_s=st.integers(0, 6),
    holdoff_s=st.integers(0, 8),
    extreme=st.sampled_from([None, 3.5]),
)
actions = [
    *[("window", score) for score in (0.0, 0.5, 1.5, 2.0, 2.5, 3.0, 3.0, 4.0)],
    *[(name, 0.0) for name in ("gap", "tick", "ack", "unshelve")],
    *[("shelve", for_s) for for_s in (1.0, 3.0, 9.0)],
]
steps = st.lists(st.sampled_from(actions), max_size=40)


def take(alarm: Alarm, time_s: float, step: tuple[str, float]) -> tuple[Change, ...]:
    """One step of a test; what the alarm refuses changes nothing."""
    action, value = step
    try:
        match action:
            case "window":
                return alarm.update(time_s, value)
            case "tick":
                return alarm.tick(time_s)
            case "ack":
                assert alarm.acknowledge() == alarm.alarm_id
            case "shelve":
                on = alarm.alarm_id
                assert alarm.shelve(time_s, time_s + value) == on
            case "unshelve":
                alarm.unshelve()
            case "gap":
                alarm.interrupt()
    except ControlError:
        pass
    return ()
