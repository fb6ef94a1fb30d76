"""The alarm state machine, update by update."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.alarm.life_cycle import (
    LONGEST_SHELVING_S,
    Acknowledged,
    Alarm,
    AlarmMemory,
    AlarmPolicy,
    Change,
    Cleared,
    Raised,
    Shelved,
    Unshelved,
    Warned,
    policy_for,
)
from edge_asd.alarm.memory import OpenAlarm
from edge_asd.errors import ControlError, ProfileError

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


def test_a_score_above_for_the_minimum_duration_raises() -> None:
    assert changes(POLICY, [0, 3, 3, 3, 3]) == [("Raised", 4)]


def test_a_shorter_excursion_raises_nothing() -> None:
    assert changes(POLICY, [0, 3, 3, 0, 3, 3, 0]) == []


def test_a_window_at_the_threshold_is_not_above_it() -> None:
    assert changes(AT_ONCE, [2.0]) == []
    assert changes(AT_ONCE, [math.nextafter(2.0, 3)]) == [("Raised", 1)]


def test_without_minimum_duration_one_window_is_enough() -> None:
    assert changes(AT_ONCE, [3]) == [("Raised", 1)]


def test_an_alarm_clears_only_below_the_clear_threshold() -> None:
    assert changes(AT_ONCE, [3, 1.5, 1.0, 0.9]) == [("Raised", 1), ("Cleared", 4)]


def test_a_score_between_the_levels_ends_a_run_that_has_not_raised_yet() -> None:
    assert changes(POLICY, [3, 3, 1.5, 3, 3]) == []


def test_no_alarm_is_raised_during_the_hold_off() -> None:
    scores = [3, 3, 3, 0, 3, 3, 3, 3, 0, 0]

    assert changes(POLICY, scores) == [("Raised", 3), ("Cleared", 4)]


def test_a_fault_that_stays_is_raised_when_the_hold_off_ends() -> None:
    scores = [3, 3, 3, 0, 3, 3, 3, 3, 3, 3]

    assert changes(POLICY, scores)[-1] == ("Raised", 9)  # cleared at 4, hold-off of 5


def test_the_change_tells_since_when_how_long_and_how_bad() -> None:
    alarm = Alarm(POLICY, name)

    found = [alarm.update(t, s) for t, s in [(1, 0), (2, 3), (3, 4), (4, 9), (5, 7), (6, 0.5)]]

    assert found[3] == (Raised(4, 9, "alarm-at-4", since_s=2, rule="confirmed"),)
    assert found[5] == (Cleared(6, 0.5, "alarm-at-4", duration_s=2, max_score=9),)


def test_a_gap_ends_a_run_that_has_not_raised_yet() -> None:
    alarm = Alarm(POLICY, name)
    alarm.update(1, 3)

    alarm.interrupt()

    assert alarm.update(10, 3) == (Warned(10, 3),)


def test_a_gap_does_not_end_an_alarm() -> None:
    alarm = alarm_after(AT_ONCE, [3])

    alarm.interrupt()

    assert alarm.active
    assert told(alarm.update(2, 0)) == [("Cleared", 2)]


def test_the_states_follow_the_chart() -> None:
    alarm = Alarm(POLICY, name)

    states = []
    for time_s, score in enumerate([0, 3, 0, 3, 3, 3, 1.5, 0, 0, 3, 0, 0, 0], 1):
        alarm.update(time_s, score)
        states.append(alarm.state)

    expected = "normal warning normal warning warning alarm alarm cleared cleared cleared cleared"
    assert states == [*expected.split(), "cleared", "normal"]


def test_a_warning_is_told_once_and_again_after_it_is_over() -> None:
    alarm = Alarm(POLICY, name)

    found = [alarm.update(t, s) for t, s in enumerate([3, 2.5, 0, 4], 1)]

    assert found == [(Warned(1, 3),), (), (), (Warned(4, 4),)]


def test_an_alarm_that_is_raised_at_once_needs_no_warning() -> None:
    assert Alarm(AT_ONCE, name).update(1, 3) == (Raised(1, 3, "alarm-at-1", 1, "confirmed"),)


def test_a_fault_within_the_hold_off_warns_when_it_is_over() -> None:
    policy = replace(POLICY, holdoff_s=2.0)
    alarm = alarm_after(policy, [3, 3, 3, 0])  # cleared at 4

    assert alarm.update(5, 3) == ()
    assert alarm.update(6, 3) == (Warned(6, 3),)


def test_a_hold_off_ends_without_windows() -> None:
    alarm = alarm_after(POLICY, [3, 3, 3, 0])

    states = {time_s: (alarm.tick(time_s), alarm.state) for time_s in (8.9, 9.0)}

    assert states == {8.9: ((), "cleared"), 9.0: ((), "normal")}


def test_two_of_four_windows_raise() -> None:
    assert changes(TWO_OF_FOUR, [3, 0, 0, 3]) == [("Raised", 4)]
    assert changes(TWO_OF_FOUR, [3, 0, 0, 0, 3]) == []


def test_a_warning_lasts_until_none_of_the_last_windows_is_above() -> None:
    assert alarm_after(TWO_OF_FOUR, [3, 0, 0, 0]).state == "warning"
    assert alarm_after(TWO_OF_FOUR, [3, 0, 0, 0, 0]).state == "normal"


def test_an_alarm_is_raised_at_a_window_above_only() -> None:
    policy = replace(TWO_OF_FOUR, min_duration_s=2.0)

    assert changes(policy, [3, 3, 0, 0]) == []
    assert changes(policy, [3, 3, 0, 3]) == [("Raised", 4)]


def test_the_alarm_tells_the_first_window_of_a_fault_that_stayed_confirmed() -> None:
    policy = replace(TWO_OF_FOUR, min_duration_s=7.0)
    alarm = Alarm(policy, name)

    found = [alarm.update(t, s) for t, s in enumerate([9, 3, 0, 3, 0, 3, 0, 3], 1)]

    assert found[-1] == (Raised(8, 3, "alarm-at-8", since_s=1, rule="confirmed"),)
    assert alarm.memory.open == OpenAlarm("alarm-at-8", 8, max_score=9)


def oracle(policy: AlarmPolicy, scores: Sequence[float | None]) -> list[tuple[str, int]]:
    """The rules looked up in the whole history; a score of None is a gap."""
    found: list[tuple[str, int]] = []
    on, begin, holdoff_until = False, 0, -math.inf
    for i, score in enumerate(scores):
        if score is None:
            begin = i + 1
        elif on and score < policy.clear_threshold:
            found.append(("Cleared", i))
            on, begin, holdoff_until = False, i + 1, i + policy.holdoff_s
        elif not on and i >= holdoff_until and raises(policy, scores[begin : i + 1]):
            found.append(("Raised", i))
            on = True
    return found


def raises(policy: AlarmPolicy, scores: Sequence[float | None]) -> bool:
    """Whether the last of these windows, one second apart, raises."""
    above = [score is not None and score > policy.threshold for score in scores]
    if not above[-1]:
        return False
    if policy.extreme_threshold is not None and (scores[-1] or 0) > policy.extreme_threshold:
        return True
    n, m = policy.confirm_n, policy.confirm_m
    confirmed = [sum(above[max(0, i + 1 - m) : i + 1]) >= n for i in range(len(above))]
    if not confirmed[-1]:
        return False
    first = len(above) - 1
    while first > 0 and confirmed[first - 1]:
        first -= 1
    since = above.index(True, max(0, first + 1 - m))
    return len(above) - 1 - since >= policy.min_duration_s


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


@given(policy=policies, scores=st.lists(st.none() | levels, max_size=60))
def test_alarms_come_and_go_as_the_rules_say_of_the_whole_history(
    policy: AlarmPolicy, scores: list[float | None]
) -> None:
    alarm = Alarm(policy, name)

    found: list[Change] = []
    for i, score in enumerate(scores):
        if score is None:
            alarm.interrupt()
        else:
            found += alarm.update(i, score)

    assert told(found) == oracle(policy, scores)


def test_an_extreme_score_raises_at_once() -> None:
    alarm = Alarm(EXTREME, name)

    assert alarm.update(1, 8.5) == (Raised(1, 8.5, "alarm-at-1", since_s=1, rule="extreme"),)


def test_a_score_at_the_extreme_threshold_is_not_extreme() -> None:
    assert changes(EXTREME, [8.0, 8.0]) == []


def test_an_extreme_score_within_the_hold_off_raises_nothing() -> None:
    alarm = alarm_after(EXTREME, [9, 0])  # cleared at 2, hold-off of 5

    assert alarm.update(6.5, 9) == ()
    assert told(alarm.update(7, 9)) == [("Raised", 7)]


def test_an_alarm_that_somebody_has_seen_clears_like_any_other() -> None:
    alarm = alarm_after(AT_ONCE, [3])

    assert alarm.acknowledge(1.5) == Acknowledged(1.5, "alarm-at-1")
    assert (alarm.state, alarm.active) == ("acknowledged", True)
    assert told(alarm.update(2, 0)) == [("Cleared", 2)]


def test_there_must_be_an_alarm_to_acknowledge() -> None:
    alarm = alarm_after(POLICY, [3])

    with pytest.raises(ControlError, match="no alarm is on, the state is warning"):
        alarm.acknowledge(2)


def test_an_alarm_is_acknowledged_once() -> None:
    alarm = alarm_after(AT_ONCE, [3])
    alarm.acknowledge(2)

    with pytest.raises(ControlError, match="alarm-at-1 is acknowledged already"):
        alarm.acknowledge(3)


def test_the_next_alarm_is_not_acknowledged() -> None:
    alarm = alarm_after(AT_ONCE, [3])
    alarm.acknowledge(1.5)
    alarm.update(2, 0)

    alarm.update(3, 3)

    assert alarm.state == "alarm"


def test_no_alarm_is_raised_while_alarms_are_shelved() -> None:
    alarm = Alarm(EXTREME, name)

    assert alarm.shelve(0, until_s=10) == Shelved(0, None, 10)
    assert [alarm.update(t, 9) for t in range(1, 10)] == [()] * 9
    assert (alarm.state, alarm.shelved_until_s) == ("shelved", 10)


def test_a_fault_that_stays_is_raised_when_shelving_expires() -> None:
    alarm = Alarm(POLICY, name)
    alarm.shelve(0, until_s=10)
    for time_s in range(5, 10):
        alarm.update(time_s, 3)

    assert alarm.update(10, 3) == (
        Unshelved(10, "expired"),
        Raised(10, 3, "alarm-at-10", since_s=5, rule="confirmed"),
    )


def test_shelving_closes_an_alarm_that_is_on() -> None:
    alarm = alarm_after(AT_ONCE, [3])

    assert alarm.shelve(1, until_s=60) == Shelved(1, "alarm-at-1", 60)
    assert not alarm.active
    assert alarm.update(2, 0) == ()


def test_a_fault_that_stays_is_a_new_alarm_after_unshelving() -> None:
    alarm = alarm_after(POLICY, [3, 3, 3])
    alarm.shelve(3, until_s=60)
    alarm.update(4, 3)

    assert alarm.unshelve(4.5) == Unshelved(4.5, "requested")
    assert alarm.update(5, 3) == (Raised(5, 3, "alarm-at-5", since_s=1, rule="confirmed"),)


def test_shelving_expires_without_windows() -> None:
    alarm = Alarm(POLICY, name)
    alarm.shelve(0, until_s=10)

    assert alarm.tick(9) == ()
    assert alarm.tick(10) == (Unshelved(10, "expired"),)
    assert alarm.state == "normal"
    assert alarm.tick(11) == ()


def test_shelving_again_moves_its_end() -> None:
    alarm = Alarm(POLICY, name)
    alarm.shelve(0, until_s=10)

    alarm.shelve(5, until_s=8)

    assert alarm.tick(8) == (Unshelved(8, "expired"),)


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
        Alarm(POLICY, name).unshelve(1)


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
                return (alarm.acknowledge(time_s),)
            case "shelve":
                return (alarm.shelve(time_s, time_s + value),)
            case "unshelve":
                return (alarm.unshelve(time_s),)
    except ControlError:
        return ()
    alarm.interrupt()
    return ()


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
                case Acknowledged():
                    assert change.alarm_id == on
                case Cleared():
                    assert change.alarm_id == on
                    on = None
                case Shelved():
                    assert change.alarm_id == on
                    on, shelved_until_s = None, change.until_s
                case Unshelved():
                    shelved_until_s = -math.inf
        assert alarm.alarm_id == on


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
    return AlarmMemory(opened, moved(memory.holdoff_until_s), moved(memory.shelved_until_s))


def since_start(change: Change, by_s: float) -> Change:
    """The same change in seconds of the stream before the restart."""
    times = {
        field: getattr(change, field) + by_s
        for field in ("time_s", "since_s", "until_s")
        if hasattr(change, field)
    }
    return replace(change, **times)


def test_shelving_that_expired_during_a_restart_is_told() -> None:
    alarm = Alarm(POLICY, name, AlarmMemory(shelved_until_s=-60.0))

    assert alarm.tick(0) == (Unshelved(0, "expired"),)
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


def test_a_new_policy_judges_all_windows_that_follow() -> None:
    alarm = alarm_after(POLICY, [3, 3])

    alarm.policy = replace(POLICY, threshold=5.0)

    assert alarm.state == "normal"
    assert [alarm.update(t, 4) for t in (3, 4, 5)] == [(), (), ()]
    assert told(change for t in (6, 7, 8) for change in alarm.update(t, 6)) == [("Raised", 8)]


def test_a_new_policy_clears_an_alarm_that_is_on() -> None:
    alarm = alarm_after(AT_ONCE, [3])

    alarm.policy = replace(AT_ONCE, threshold=5.0, clear_threshold=4.0)

    assert alarm.active
    assert told(alarm.update(2, 3)) == [("Cleared", 2)]


@given(
    scores=st.lists(st.floats(0, 4), max_size=60),
    min_duration_s=st.floats(0, 5),
    holdoff_s=st.floats(0, 8),
)
def test_changes_alternate_and_keep_their_distance(
    scores: list[float], min_duration_s: float, holdoff_s: float
) -> None:
    found = changes(AlarmPolicy(2.0, 1.0, min_duration_s, holdoff_s), scores)

    names = [name for name, _ in found]
    assert names == ["Raised", "Cleared"] * (len(names) // 2) + ["Raised"] * (len(names) % 2)
    for (_, cleared_s), (_, raised_s) in zip(found[1::2], found[2::2], strict=False):
        assert raised_s - cleared_s >= holdoff_s - 1e-6


@given(window_s=st.floats(0.5, 20), ratio=st.floats(0.05, 1.0), start=st.floats(0, 1))
def test_by_default_an_alarm_comes_within_two_windows_of_a_fault_and_goes_after_it(
    window_s: float, ratio: float, start: float
) -> None:
    hop_s = ratio * window_s
    fault_s, end_s = (10 + start) * window_s, (16 + start) * window_s
    policy = policy_for(threshold=0.99, clear_threshold=0.5, window_s=window_s, hop_s=hop_s)
    alarm = Alarm(policy, name)
    raised: list[float] = []
    cleared: list[float] = []

    for i in range(int(30 / ratio)):
        ends_s = window_s + i * hop_s
        overlap_s = min(ends_s, end_s) - max(ends_s - window_s, fault_s)
        for change in alarm.update(ends_s, max(0.0, overlap_s / window_s) + 1e-9):
            if isinstance(change, Raised):
                raised.append(ends_s)
            elif isinstance(change, Cleared):
                cleared.append(ends_s)

    assert len(raised) == len(cleared) == 1
    assert fault_s < raised[0] <= fault_s + 2 * window_s + 1e-6
    assert end_s < cleared[0] <= end_s + window_s + hop_s


@pytest.mark.parametrize(
    ("hop_s", "expected_s"), [(10, 0), (6, 0), (5, 5), (2.5, 5), (4, 4), (1, 5), (20, 0)]
)
def test_the_default_minimum_duration_is_a_number_of_hops_within_half_a_window(
    hop_s: float, expected_s: float
) -> None:
    policy = policy_for(threshold=1, clear_threshold=1, window_s=10, hop_s=hop_s)

    assert policy.min_duration_s == expected_s
    assert policy.holdoff_s == 10
    assert (policy.confirm_n, policy.confirm_m) == (1, 1)


def test_given_times_and_rules_are_kept() -> None:
    policy = policy_for(
        threshold=1,
        clear_threshold=1,
        window_s=10,
        hop_s=5,
        min_duration_s=0,
        holdoff_s=60,
        confirm=[3, 5],
        extreme=4.0,
    )

    assert policy == AlarmPolicy(1, 1, 0, 60, extreme_threshold=4.0, confirm_n=3, confirm_m=5)


def test_by_default_a_score_is_extreme_three_hystereses_above_the_threshold() -> None:
    assert extreme_for(threshold=2.0, clear_threshold=1.5) == 3.5


def test_without_hysteresis_or_when_it_is_off_no_score_is_extreme() -> None:
    assert extreme_for(threshold=2.0, clear_threshold=2.0) is None
    assert extreme_for(threshold=2.0, clear_threshold=1.5, off=True) is None


def extreme_for(*, threshold: float, clear_threshold: float, off: bool = False) -> float | None:
    return policy_for(
        threshold=threshold,
        clear_threshold=clear_threshold,
        window_s=10,
        hop_s=5,
        extreme="off" if off else None,
    ).extreme_threshold


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ((1.0, 2.0, 0.0, 0.0), "clear_threshold 2.0 is above threshold 1.0"),
        ((1.0, 1.0, -1.0, 0.0), "min_duration_s is -1.0"),
        ((1.0, 1.0, 0.0, math.inf), "holdoff_s is inf"),
        ((1.0, 1.0, 0.0, math.nan), "holdoff_s is nan"),
        ((1.0, 1.0, 0.0, 0.0, 0.5), "extreme 0.5 is below threshold 1.0"),
        ((1.0, 1.0, 0.0, 0.0, None, 3, 2), r"confirm is \[3, 2\]"),
        ((1.0, 1.0, 0.0, 0.0, None, 0, 2), r"confirm is \[0, 2\]"),
        ((1.0, 1.0, 0.0, 0.0, None, 1, 10**9), r"confirm is \[1, 1000000000\]"),
    ],
)
def test_impossible_policies_are_refused(values: tuple, complaint: str) -> None:
    with pytest.raises(ProfileError, match=complaint):
        AlarmPolicy(*values)
