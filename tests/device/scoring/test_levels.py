"""Levels that stated shares of normal windows exceed, and thresholds taken from them."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.scoring.threshold import LEVEL_RATES, at_rate, normal_threshold

SHIFTED = np.random.default_rng(0).standard_normal(300)  # not all positive
SKEWED = np.exp(0.3 * SHIFTED)


def levels_of(scores: np.ndarray) -> ThresholdSpec:
    return normal_threshold(scores, 0.05, kind="windows")


@pytest.mark.parametrize("scores", [SKEWED, SHIFTED, np.full(20, 0.7)])
def test_levels_do_not_fall_where_rates_do(scores: np.ndarray) -> None:
    rates, levels = zip(*levels_of(scores).levels, strict=True)

    assert rates == LEVEL_RATES
    assert list(levels) == sorted(levels)


@pytest.mark.parametrize("scores", [SKEWED, SHIFTED])
@pytest.mark.parametrize("rate", [0.3, 0.03, 3e-4])
def test_a_threshold_between_levels_is_that_of_its_rate(scores: np.ndarray, rate: float) -> None:
    expected = normal_threshold(scores, rate, kind="windows")

    found = at_rate(levels_of(scores), rate)

    spread = float(scores.std())
    assert found.threshold == pytest.approx(expected.threshold, abs=0.1 * spread)
    assert found.clear_threshold == pytest.approx(expected.clear_threshold, abs=0.1 * spread)
    assert found.false_alarm_rate == rate


def test_levels_beyond_the_last_one_still_rise() -> None:
    spec = levels_of(SKEWED)

    assert spec.level_at(1e-7) > spec.level_at(1e-5) > spec.level_at(1e-4)
