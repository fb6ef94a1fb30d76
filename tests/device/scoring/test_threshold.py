"""Thresholds from normal scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.threshold import normal_threshold

Floats = NDArray[np.float64]

TEN_PERCENT = 0.1  # sampling error of a tail quantile of 1,000 scores


def levels(scores: Any, rate: float, n_takes: int | None = None) -> ThresholdSpec:
    return normal_threshold(scores, rate, kind="windows", n_takes=n_takes)


def gamma_scores(n: int, *, shape: float = 4.0, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).gamma(shape, 0.25, n)


def test_threshold_is_the_empirical_quantile_when_the_sample_supports_the_rate() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, 1001)) / 1000
    spec = levels(scores, 0.01)
    assert spec.method.startswith("empirical quantile")
    assert spec.n_scores == 1000
    assert np.mean(scores > spec.threshold) == pytest.approx(0.009)  # 0.01 is the limit
    assert np.mean(scores > spec.clear_threshold) == pytest.approx(0.099)


@pytest.mark.parametrize(("n", "rate", "method"), [(999, 0.01, "gamma"), (1000, 0.01, "empirical")])
def test_ten_scores_above_the_threshold_support_an_empirical_quantile(
    n: int, rate: float, method: str
) -> None:
    assert method in levels(gamma_scores(n), rate).method


def test_rare_false_alarms_are_extrapolated_by_a_gamma_distribution() -> None:
    spec = levels(gamma_scores(1000), 0.001)  # expected: quantiles of the distribution itself
    assert "gamma" in spec.method and "location fixed at 0" in spec.method
    assert spec.threshold == pytest.approx(3.2656, rel=TEN_PERCENT)
    assert spec.clear_threshold == pytest.approx(2.5113, rel=TEN_PERCENT)


def test_scores_that_are_not_positive_get_a_threshold_above_them() -> None:
    scores = gamma_scores(200) - 1.0
    spec = levels(scores, 0.001)
    assert spec.threshold > np.quantile(scores, 0.99)
    assert spec.clear_threshold < spec.threshold


@pytest.mark.parametrize("rate", [1e-4, 0.01, 0.2, 0.6, 0.95])
@pytest.mark.parametrize("n", [3, 30, 3000])
def test_clear_threshold_is_never_above_the_threshold(n: int, rate: float) -> None:
    spec = levels(gamma_scores(n), rate)
    assert spec.clear_threshold <= spec.threshold
    if rate <= 0.5:
        assert spec.clear_threshold >= 0.5 * np.median(gamma_scores(n))


@pytest.mark.parametrize("scores", [[2.0], [2.0] * 50, [0.0] * 50])
def test_equal_scores_are_their_own_threshold(scores: Any) -> None:
    spec = levels(scores, 0.01)
    assert spec.threshold == spec.clear_threshold == scores[0]
    assert "common value" in spec.method


@pytest.mark.parametrize("scores", [[], [1.0, np.nan], [1.0, np.inf]])
def test_scores_that_are_missing_or_not_finite_are_refused(scores: Any) -> None:
    with pytest.raises(DataError, match="finite"):
        levels(scores, 0.01)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_an_impossible_false_alarm_rate_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        levels(gamma_scores(10), rate)


def test_a_rate_that_the_takes_do_not_show_is_that_of_a_distribution() -> None:
    spec = levels(gamma_scores(1000), 0.05, n_takes=50)

    assert spec.n_takes == 50
    assert "gamma" in spec.method
    assert spec.threshold == pytest.approx(1.9384, rel=TEN_PERCENT)


def test_levels_are_numbers_however_few_and_scattered_the_scores_are() -> None:
    spec = levels(np.array([1e-9, 1.0, 1e6]), 0.01)

    assert all(np.isfinite(level) for _, level in spec.levels)


def test_skewed_scores_do_not_exceed_the_threshold_more_often_than_stated() -> None:
    scores = np.random.default_rng(4).exponential(1.0, 60) ** 2 - 0.5

    spec = levels(scores, 0.05)

    assert np.mean(scores > spec.threshold) <= 0.05
    assert spec.threshold >= np.quantile(scores, 0.95)


def test_the_stated_rate_is_nearly_kept_on_new_days_after_ten_looks() -> None:
    rng = np.random.default_rng(3)
    above = 0
    for _ in range(300):  # ten minutes, each a little different, then any later minute
        minutes = rng.normal(0.0, 0.1, 10).repeat(6)
        spec = levels(np.exp(minutes + rng.normal(0, 0.1, 60)), 0.05)
        later = np.exp(rng.normal(0.0, 0.1, 200) + rng.normal(0, 0.1, 200))
        above += int((later > spec.threshold).sum())
    assert above / (300 * 200) < 0.065


def test_recordings_that_are_almost_alike_do_not_raise_the_threshold() -> None:
    scores = gamma_scores(60, shape=50.0)
    alike = np.where(scores < np.quantile(scores, 0.2), 0.1 * scores, scores)

    assert levels(alike, 0.01).threshold == pytest.approx(levels(scores, 0.01).threshold)
