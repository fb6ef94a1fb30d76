"""Whether one take decides a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.scoring.deciding_take import deciding_take

RATE = 0.01


def scores(n_takes: int, of_take: int = 3, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(20, 0.04, n_takes * of_take), np.repeat(np.arange(n_takes), of_take)


@pytest.mark.parametrize("n_takes", [3, 10, 100])
@pytest.mark.parametrize("seed", range(5))
def test_no_take_decides_the_threshold_of_scores_of_one_kind(n_takes: int, seed: int) -> None:
    normal, takes = scores(n_takes, seed=seed)

    assert deciding_take(normal, takes, RATE) is None


@pytest.mark.parametrize("n_takes", [3, 10, 100])
@pytest.mark.parametrize("rate", [0.2, 0.01, 1e-4])
def test_a_take_of_very_high_scores_is_named_with_its_windows(n_takes: int, rate: float) -> None:
    normal, takes = scores(n_takes)
    normal[takes == 1] = 4290.0

    found = deciding_take(normal, takes, rate)

    if 3 / len(normal) <= rate:  # so few are as many as the rate allows
        assert found is None or found.take == 1
    else:
        assert found is not None
        assert (found.take, found.windows.tolist()) == (1, [3, 4, 5])
        assert "alone puts the threshold more than 1000 times as far" in found.text


def test_where_all_other_scores_are_the_same_one_take_decides() -> None:
    found = deciding_take([1.0, 1.0, 1.0, 2.0], [0, 1, 2, 3], RATE)

    assert found is not None
    assert found.take == 3


@pytest.mark.parametrize(
    ("normal", "takes"), [([1.0, 2.0, 90.0], [0, 0, 1]), ([1.0, 1.0, 1.0], [0, 1, 2])]
)
def test_of_two_takes_or_of_equal_scores_none_decides(
    normal: list[float], takes: list[int]
) -> None:
    assert deciding_take(normal, takes, RATE) is None


def test_scores_may_be_negative() -> None:
    normal, takes = scores(10)
    normal -= 5.0
    normal[takes == 7] = 60.0

    found = deciding_take(normal, takes, RATE)

    assert found is not None
    assert found.take == 7
