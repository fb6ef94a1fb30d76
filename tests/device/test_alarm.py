"""The alarm state machine, update by update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.alarm import Alarm, AlarmCleared, AlarmPolicy, AlarmRaised, policy_for
from edge_asd.errors import ProfileError

POLICY = AlarmPolicy(threshold=2.0, clear_threshold=1.0, min_duration_s=2.0, holdoff_s=5.0)
AT_ONCE = AlarmPolicy(threshold=2.0, clear_threshold=1.0, min_duration_s=0.0, holdoff_s=0.0)


def changes(
    policy: AlarmPolicy, scores: Sequence[float], *, hop_s: float = 1.0
) -> list[tuple[str, float]]:
    """What happened and when, for scores of windows that end at hop_s, 2 * hop_s, ..."""
    alarm = Alarm(policy)
    found = [alarm.update(i * hop_s, score) for i, score in enumerate(scores, 1)]
    return [(type(change).__name__, change.time_s) for change in found if change is not None]


def test_a_score_above_for_the_minimum_duration_raises() -> None:
    assert changes(POLICY, [0, 3, 3, 3, 3]) == [("AlarmRaised", 4)]


def test_a_shorter_excursion_raises_nothing() -> None:
    assert changes(POLICY, [0, 3, 3, 0, 3, 3, 0]) == []


def test_a_window_at_the_threshold_is_not_above_it() -> None:
    assert changes(AT_ONCE, [2.0]) == []
    assert changes(AT_ONCE, [math.nextafter(2.0, 3)]) == [("AlarmRaised", 1)]


def test_without_minimum_duration_one_window_is_enough() -> None:
    assert changes(AT_ONCE, [3]) == [("AlarmRaised", 1)]


def test_an_alarm_clears_only_below_the_clear_threshold() -> None:
    assert changes(AT_ONCE, [3, 1.5, 1.0, 0.9]) == [("AlarmRaised", 1), ("AlarmCleared", 4)]


def test_a_score_between_the_levels_ends_a_run_that_has_not_raised_yet() -> None:
    assert changes(POLICY, [3, 3, 1.5, 3, 3]) == []


def test_no_alarm_is_raised_during_the_hold_off() -> None:
    scores = [3, 3, 3, 0, 3, 3, 3, 3, 0, 0]

    assert changes(POLICY, scores) == [("AlarmRaised", 3), ("AlarmCleared", 4)]


def test_a_fault_that_stays_is_raised_when_the_hold_off_ends() -> None:
    scores = [3, 3, 3, 0, 3, 3, 3, 3, 3, 3]

    assert changes(POLICY, scores)[-1] == ("AlarmRaised", 9)  # cleared at 4, hold-off of 5


def test_the_change_tells_since_when_how_long_and_how_bad() -> None:
    alarm = Alarm(POLICY)

    found = [alarm.update(t, s) for t, s in [(1, 0), (2, 3), (3, 4), (4, 9), (5, 7), (6, 0.5)]]

    assert found[3] == AlarmRaised(time_s=4, score=9, since_s=2)
    assert found[5] == AlarmCleared(time_s=6, score=0.5, duration_s=2, max_score=9)


def test_a_gap_ends_a_run_that_has_not_raised_yet() -> None:
    alarm = Alarm(POLICY)
    alarm.update(1, 3)

    alarm.interrupt()

    assert alarm.update(10, 3) is None


def test_a_gap_does_not_end_an_alarm() -> None:
    alarm = Alarm(AT_ONCE)
    alarm.update(1, 3)

    alarm.interrupt()

    assert alarm.active
    assert isinstance(alarm.update(2, 0), AlarmCleared)


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
    assert (
        names
        == ["AlarmRaised", "AlarmCleared"] * (len(names) // 2)
        + names[len(names) - len(names) % 2 :]
    )
    assert names[:1] != ["AlarmCleared"]
    for (_, cleared_s), (_, raised_s) in zip(found[1::2], found[2::2], strict=False):
        assert raised_s - cleared_s >= holdoff_s - 1e-6


@given(window_s=st.floats(0.5, 20), ratio=st.floats(0.05, 1.0), start=st.floats(0, 1))
def test_by_default_an_alarm_comes_within_two_windows_of_a_fault_and_goes_after_it(
    window_s: float, ratio: float, start: float
) -> None:
    hop_s = ratio * window_s
    fault_s, end_s = (10 + start) * window_s, (16 + start) * window_s
    alarm = Alarm(policy_for(threshold=0.99, clear_threshold=0.5, window_s=window_s, hop_s=hop_s))
    raised: list[float] = []
    cleared: list[float] = []

    for i in range(int(30 / ratio)):
        ends_s = window_s + i * hop_s
        overlap_s = min(ends_s, end_s) - max(ends_s - window_s, fault_s)
        change = alarm.update(ends_s, max(0.0, overlap_s / window_s) + 1e-9)
        if change is not None:
            (raised if isinstance(change, AlarmRaised) else cleared).append(ends_s)

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


def test_given_times_are_kept() -> None:
    policy = policy_for(
        threshold=1, clear_threshold=1, window_s=10, hop_s=5, min_duration_s=0, holdoff_s=60
    )

    assert (policy.min_duration_s, policy.holdoff_s) == (0, 60)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ((1.0, 2.0, 0.0, 0.0), "clear_threshold 2.0 is above threshold 1.0"),
        ((1.0, 1.0, -1.0, 0.0), "min_duration_s is -1.0"),
        ((1.0, 1.0, 0.0, math.inf), "holdoff_s is inf"),
    ],
)
def test_impossible_policies_are_refused(
    values: tuple[float, float, float, float], complaint: str
) -> None:
    with pytest.raises(ProfileError, match=complaint):
        AlarmPolicy(*values)
