"""When an alarm is raised and cleared, update by update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from device.alarm_steps import (
    AT_ONCE,
    EXTREME,
    POLICY,
    TWO_OF_FOUR,
    alarm_after,
    changes,
    levels,
    name,
    policies,
    told,
)
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.alarm.change import (
    Change,
    Cleared,
    Raised,
    Warned,
)
from edge_asd.alarm.life_cycle import Alarm, OpenAlarm
from edge_asd.alarm.policy import AlarmPolicy


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
