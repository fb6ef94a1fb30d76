"""Expected false alarms, beside those that the alarm itself raises for the same scores."""

from __future__ import annotations

import numpy as np
import pytest
from device.normal_scores import normal_levels, wandering_scores

from edge_asd.alarm.change import Raised
from edge_asd.alarm.expected_alarms import (
    ASSUMED_SHARE,
    MONTH_S,
    expected_alarms,
    lasting_share,
)
from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import AlarmPolicy

WINDOW_S, HOP_S = 10.0, 2.5


def raised_per_month(
    rate: float, confirm: tuple[int, int], share: float, n: int = 150_000
) -> float:
    levels = normal_levels(rate)
    policy = AlarmPolicy(levels.threshold, levels.clear_threshold, 0.0, WINDOW_S, None, *confirm)
    alarm = Alarm(policy, str)
    raised = sum(
        isinstance(change, Raised)
        for i, score in enumerate(wandering_scores(n, share).tolist())
        for change in alarm.update(i * HOP_S, score)
    )
    return raised * MONTH_S / (n * HOP_S)


@pytest.mark.parametrize(
    ("rate", "confirm", "share"),
    [(0.05, (3, 3), 0.0), (0.1, (8, 12), 0.3), (0.05, (8, 12), 0.5), (0.02, (3, 4), 0.3)],
)
def test_as_many_alarms_are_expected_as_the_alarm_raises(
    rate: float, confirm: tuple[int, int], share: float
) -> None:
    expected = expected_alarms([rate], confirm, share=share, window_s=WINDOW_S, hop_s=HOP_S)[0]

    found = raised_per_month(rate, confirm, share)

    # The simulation clears alarms earlier, at any rate: more alarms, rather than fewer.
    assert 0.8 * found <= expected <= 2.0 * found


def test_fewer_windows_above_are_fewer_alarms() -> None:
    rates = np.geomspace(0.2, 1e-6, 30)

    alarms = expected_alarms(rates, (8, 12), share=0.3, window_s=WINDOW_S, hop_s=HOP_S)

    assert (np.diff(alarms) < 0).all()


def test_a_confirmation_that_the_simulation_never_sees_means_few_alarms() -> None:
    rates = [0.1, 0.01, 0.001]

    alarms = expected_alarms(rates, (1000, 1000), share=0.5, window_s=WINDOW_S, hop_s=HOP_S)

    assert np.isfinite(alarms).all()
    assert alarms[0] < 0.1
    assert (np.diff(alarms) < 0).all()


def test_what_lasts_makes_a_confirmation_worth_less() -> None:
    of = {
        share: expected_alarms([0.01], (16, 24), share=share, window_s=WINDOW_S, hop_s=HOP_S)[0]
        for share in (0.0, 0.3, 0.6)
    }

    assert of[0.0] < of[0.3] / 10 < of[0.6] / 10


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_the_share_that_lasts_is_that_between_takes(share: float) -> None:
    rng = np.random.default_rng(0)
    takes = np.arange(2000) // 8
    scores = np.sqrt(share) * rng.standard_normal(250)[takes]
    scores += np.sqrt(1 - share) * rng.standard_normal(2000)

    found = lasting_share(np.exp(0.3 * scores), takes)

    assert found == pytest.approx((250 * share + 10 * ASSUMED_SHARE) / 260, abs=0.05)


@pytest.mark.parametrize(
    ("scores", "takes"),
    [
        (np.arange(8.0), None),
        (np.arange(8.0), np.arange(8)),
        (np.arange(8.0), np.zeros(8)),
        (np.ones(8), np.arange(8) // 2),
    ],
    ids=["not known", "one window each", "one take", "equal scores"],
)
def test_takes_that_say_nothing_leave_what_is_assumed(scores: object, takes: object) -> None:
    assert lasting_share(scores, takes) == ASSUMED_SHARE  # type: ignore[arg-type]


def test_two_takes_say_little() -> None:
    scores = np.random.default_rng(2).standard_normal(40)

    assert lasting_share(scores, np.arange(40) // 20) > 0.8 * ASSUMED_SHARE


def test_two_windows_that_share_a_take_say_little() -> None:
    scores = np.random.default_rng(0).gamma(50, 0.02, 120)
    scores[1] = scores[0]  # of the same take, and alike by chance

    found = lasting_share(scores, np.maximum(np.arange(120), 1))

    assert found == pytest.approx(ASSUMED_SHARE, abs=0.05)
