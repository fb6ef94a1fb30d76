"""Levels and times that follow from the window, the hop and the threshold."""

from __future__ import annotations

import math

import pytest
from device.alarm_steps import (
    name,
)
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.alarm.change import (
    Cleared,
    Raised,
)
from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import AlarmPolicy, policy_for
from edge_asd.errors import ProfileError
from edge_asd.profile import load_profile

AUTO = load_profile().alarm


@given(window_s=st.floats(0.5, 20), ratio=st.floats(0.05, 1.0), start=st.floats(0, 1))
def test_by_default_an_alarm_comes_within_two_windows_of_a_fault_and_goes_after_it(
    window_s: float, ratio: float, start: float
) -> None:
    hop_s = ratio * window_s
    fault_s, end_s = (10 + start) * window_s, (16 + start) * window_s
    policy = policy_for(AUTO, threshold=0.99, clear_threshold=0.5, window_s=window_s, hop_s=hop_s)
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
    policy = policy_for(AUTO, threshold=1, clear_threshold=1, window_s=10, hop_s=hop_s)

    assert policy.min_duration_s == expected_s
    assert policy.holdoff_s == 10
    assert (policy.confirm_n, policy.confirm_m) == (1, 1)


def test_given_times_and_rules_are_kept() -> None:
    given = {"min_duration_s": 0, "holdoff_s": 60, "confirm": [3, 5], "extreme": 4.0}
    settings = AUTO.model_copy(update=given)

    policy = policy_for(settings, threshold=1, clear_threshold=1, window_s=10, hop_s=5)

    assert policy == AlarmPolicy(1, 1, 0, 60, extreme_threshold=4.0, confirm_n=3, confirm_m=5)


def test_by_default_a_score_is_extreme_three_hystereses_above_the_threshold() -> None:
    assert extreme_for(threshold=2.0, clear_threshold=1.5) == 3.5


def test_without_hysteresis_or_when_it_is_off_no_score_is_extreme() -> None:
    assert extreme_for(threshold=2.0, clear_threshold=2.0) is None
    assert extreme_for(threshold=2.0, clear_threshold=1.5, off=True) is None


def extreme_for(*, threshold: float, clear_threshold: float, off: bool = False) -> float | None:
    settings = AUTO.model_copy(update={"extreme": "off"}) if off else AUTO
    return policy_for(
        settings, threshold=threshold, clear_threshold=clear_threshold, window_s=10, hop_s=5
    ).extreme_threshold


def test_a_promise_takes_the_place_of_the_minimum_duration() -> None:
    policy = policy_for(
        AUTO, threshold=2.0, clear_threshold=1.5, window_s=10, hop_s=2.5,
        confirm=(8, 12), least_extreme=9.0,
    )  # fmt: skip

    assert policy == AlarmPolicy(2.0, 1.5, 0, 10, extreme_threshold=9.0, confirm_n=8, confirm_m=12)


def test_what_a_user_sets_goes_before_a_promise() -> None:
    settings = AUTO.model_copy(update={"confirm": [3, 5], "extreme": 4.0, "min_duration_s": 7.0})

    policy = policy_for(
        settings, threshold=2.0, clear_threshold=1.5, window_s=10, hop_s=2.5,
        confirm=(8, 12), least_extreme=9.0,
    )  # fmt: skip

    assert policy == AlarmPolicy(2.0, 1.5, 7, 10, extreme_threshold=4.0, confirm_n=3, confirm_m=5)


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
