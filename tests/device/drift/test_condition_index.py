"""The condition index: 0 as enrolled, 100 when all windows reach the threshold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.drift.condition_index import DAY, HOUR, NormalTail, RecentRarity
from edge_asd.drift.normal_summary import NormalSummary

START = datetime(2026, 11, 20, tzinfo=UTC)
HOP_S = 10.0
RATES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
# Quantiles of the standard normal distribution.
LEVELS = tuple(zip(RATES, (0.0, 0.842, 1.282, 1.645, 2.054, 2.326), strict=True))
NORMAL = np.random.default_rng(0).standard_normal(20_000)


def threshold(**changes: object) -> ThresholdSpec:
    facts = {
        "threshold": 2.326,
        "clear_threshold": 1.282,
        "false_alarm_rate": 0.01,
        "method": "quantile",
        "n_scores": 1000,
    }
    return ThresholdSpec.model_validate(facts | changes)


def index_of(tail: NormalTail, scores: np.ndarray) -> float:
    return tail.index(float(np.mean([tail.rarity(score) for score in scores])))


TAIL = NormalTail(threshold(levels=LEVELS))
SUMMARY = NormalSummary(
    score_p05=-1.645, score_median=0.0, score_p95=1.645, near_dbfs=-30.0, far_dbfs=-40.0
)


@pytest.mark.parametrize(
    "tail",
    [TAIL, NormalTail(threshold(), SUMMARY), NormalTail(threshold())],
    ids=["levels", "summary of an enrolment", "the two levels alone"],
)
def test_sound_as_it_was_enrolled_is_at_zero_and_all_windows_above_are_a_hundred(
    tail: NormalTail,
) -> None:
    assert index_of(tail, NORMAL) < 3
    assert index_of(tail, NORMAL - 1) == 0
    assert index_of(tail, np.full(10, 2.4)) == pytest.approx(100)


def test_fifty_is_half_of_the_windows_at_the_threshold_and_the_others_normal() -> None:
    scores = np.concatenate([NORMAL, np.full(len(NORMAL), 9.0)])

    assert index_of(TAIL, scores) == pytest.approx(50, abs=1)


def test_the_index_rises_with_every_shift_upwards() -> None:
    indexes = [index_of(TAIL, NORMAL[:2000] + shift) for shift in np.arange(0, 6, 0.25)]

    assert (np.diff(indexes) > 0).all()


def test_rarity_rises_with_the_score_and_ends_at_the_threshold() -> None:
    rarities = [TAIL.rarity(score) for score in np.linspace(-3, 5, 200)]

    assert (np.diff(rarities) >= 0).all()
    assert TAIL.rarity(1e9) == TAIL.rarity(2.326) == TAIL.limit


def test_levels_that_are_all_one_give_the_share_above() -> None:
    tail = NormalTail(threshold(threshold=1.0, clear_threshold=1.0))

    assert index_of(tail, np.array([0.0] * 99 + [2.0])) == pytest.approx(0, abs=1e-6)
    assert index_of(tail, np.array([0.0, 2.0])) == pytest.approx(49.5, abs=0.1)


def heard(scores: np.ndarray, start: datetime = START) -> tuple[RecentRarity, datetime]:
    """What is known after windows without overlap, and when that is."""
    recent, now = RecentRarity(), start
    for score in scores:
        now += timedelta(seconds=HOP_S)
        recent.add(now, TAIL.rarity(score), HOP_S)
    return recent, now


def test_one_loud_minute_moves_the_hour_by_two_points_at_most() -> None:
    quiet, now = heard(NORMAL[:360])
    scores = NORMAL[:360].copy()
    scores[100:106] = 1e6
    loud, _ = heard(scores)

    before, after = quiet.index(TAIL, now, HOUR), loud.index(TAIL, now, HOUR)

    assert before is not None
    assert after is not None
    assert 0 < after - before < 2


def test_an_index_is_unknown_until_a_sixth_of_its_period_was_heard() -> None:
    recent, now = heard(NORMAL[:59])
    assert recent.index(TAIL, now, HOUR) is None

    recent, now = heard(NORMAL[:61])
    assert recent.index(TAIL, now, HOUR) is not None
    assert recent.index(TAIL, now, DAY) is None


def test_deaf_hours_change_nothing_about_the_day_and_end_the_hour() -> None:
    recent, now = heard(NORMAL[:3600] + 1)
    before = recent.index(TAIL, now, DAY)

    later = now + timedelta(hours=4)

    assert recent.index(TAIL, later, DAY) == before
    assert recent.index(TAIL, later, HOUR) is None


def test_a_day_that_is_over_is_forgotten_and_little_is_kept() -> None:
    recent, now = heard(np.full(3600, 9.0))
    for score in NORMAL[:8640]:
        now += timedelta(seconds=HOP_S)
        recent.add(now, TAIL.rarity(score), HOP_S)

    day = recent.index(TAIL, now, DAY)

    assert day is not None
    assert day < 3
    assert len(recent.slots) <= 144


def test_a_clock_that_was_set_back_leaves_no_windows_of_the_future() -> None:
    recent, _ = heard(np.full(360, 9.0), START + timedelta(days=400))

    recent.add(START, 1.0, HOP_S)

    assert len(recent.slots) == 1


def test_slow_wear_shows_before_any_alarm() -> None:
    wear = np.linspace(0, 1, 7 * 8640)  # standard deviations, over a week
    scores = np.random.default_rng(1).standard_normal(len(wear)) + wear
    confirmed = np.convolve(scores > 2.326, np.ones(12), "valid") >= 8  # 8 of 12 windows
    recent, now = RecentRarity(), START
    days: list[float] = []
    for number, score in enumerate(scores, start=1):
        now += timedelta(seconds=HOP_S)
        recent.add(now, TAIL.rarity(score), HOP_S)
        if number % 8640 == 0:
            days.append(recent.index(TAIL, now, DAY) or 0.0)

    assert not confirmed.any()
    assert days == sorted(days)
    assert days[0] < 5
    assert days[-1] > 15
