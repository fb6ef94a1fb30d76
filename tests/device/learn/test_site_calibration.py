from __future__ import annotations

import numpy as np
import pytest

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.errors import DataError, UsageError
from edge_asd.learn.calibration import (
    WindowPlace,
    recording_blocks,
    refitted,
    shared_sound,
    site_threshold,
    student_quantile,
)
from edge_asd.scoring.bank import ScoreNormalisation
from edge_asd.scoring.density import Floats


def in_a_row(n: int, *, hop: int = 50, window: int = 100) -> list[WindowPlace]:
    return [WindowPlace(0, i * hop, window) for i in range(n)]


def test_blocks_are_stretches_of_one_recording() -> None:
    assert recording_blocks(in_a_row(20), 4).tolist() == [i // 5 for i in range(20)]


def test_no_recording_is_in_two_blocks() -> None:
    places = [WindowPlace(recording, i, 100) for recording in range(6) for i in range(3)]

    blocks = recording_blocks(places, 3).tolist()

    assert blocks == [0] * 6 + [1] * 6 + [2] * 6


def test_recordings_that_share_sound_are_in_one_block() -> None:
    takes = [0, 1, 1, 2]  # of four recordings, eight windows each
    places = [WindowPlace(r, i * 50, 100, takes[r]) for r in range(4) for i in range(8)]

    blocks = recording_blocks(places, 8)

    assert len(set(blocks[8:24])) == 1
    assert not set(blocks[:8]) & set(blocks[8:])
    assert sorted(set(blocks)) == list(range(5))


def test_recordings_that_all_share_sound_are_divided_for_want_of_others() -> None:
    places = [WindowPlace(r, i * 50, 100, 0) for r in range(2) for i in range(8)]

    assert recording_blocks(places, 4).tolist() == [i // 4 for i in range(16)]


def test_with_many_takes_none_is_in_two_blocks() -> None:
    takes = [0, 0, 1, 2, 2, 3]
    places = [WindowPlace(r, i * 50, 100, takes[r]) for r in range(6) for i in range(3)]

    blocks = recording_blocks(places, 2)

    assert blocks.tolist() == [0] * 9 + [1] * 9


def test_windows_that_overlap_a_block_share_sound_with_it() -> None:
    blocks = np.arange(12) // 4

    shared = shared_sound(in_a_row(12), blocks)

    assert [np.flatnonzero(row).tolist() for row in shared & (blocks != np.arange(3)[:, None])] == [
        [4],
        [3, 8],
        [7],
    ]


# From tables of Student's distribution.
@pytest.mark.parametrize(
    ("probability", "n_degrees", "expected"),
    [(0.95, 1, 6.3138), (0.99, 2, 6.9646), (0.99, 4, 3.7469), (0.99, 9, 2.8214),
     (0.999, 9, 4.2968), (0.975, 19, 2.0930), (0.5, 9, 0.0)],
)  # fmt: skip
def test_student_quantiles(probability: float, n_degrees: int, expected: float) -> None:
    assert student_quantile(probability, n_degrees) == pytest.approx(expected, rel=0.01, abs=1e-9)


def test_few_scores_give_a_limit_of_prediction() -> None:
    scores = np.exp(np.random.default_rng(1).normal(0.0, 0.2, 50))

    spec = site_threshold(scores, 0.01, kind="windows")

    values = np.log(scores)
    expected = np.exp(values.mean() + values.std(ddof=1) * np.sqrt(1.1) * 2.8214)
    assert spec.threshold == pytest.approx(expected, rel=1e-3)
    assert spec.clear_threshold < spec.threshold
    assert (spec.n_scores, spec.false_alarm_rate) == (50, 0.01)
    assert "log-normal" in spec.method


def test_a_few_takes_are_as_many_looks_as_blocks_and_many_are_more() -> None:
    scores = np.exp(np.random.default_rng(1).normal(0.0, 0.2, 50))
    limits = {
        n: site_threshold(scores, 0.01, kind="windows", n_takes=n).threshold for n in (2, 10, 40)
    }

    assert limits[2] == limits[10] > limits[40]


def test_levels_are_numbers_however_few_and_scattered_the_scores_are() -> None:
    spec = site_threshold(np.array([1e-9, 1.0, 1e9]), 0.01, kind="windows")

    assert all(np.isfinite(level) for _, level in spec.levels)


def test_many_scores_give_a_quantile() -> None:
    scores = np.arange(1.0, 20_001.0)

    spec = site_threshold(scores, 0.01, kind="windows")

    assert 190 <= (scores > spec.threshold).sum() <= 200
    assert spec.method == "empirical quantile of windows"


def test_scores_that_are_not_positive_have_a_normal_tail() -> None:
    scores = np.random.default_rng(2).normal(0.0, 1.0, 60)

    spec = site_threshold(scores, 0.01, kind="z-scores")

    assert 2.3 < spec.threshold < 4.0
    assert "of a normal distribution" in spec.method


def test_skewed_scores_do_not_exceed_the_threshold_more_often_than_stated() -> None:
    scores = np.random.default_rng(4).exponential(1.0, 60) ** 2 - 0.5

    spec = site_threshold(scores, 0.05, kind="z-scores")

    assert np.mean(scores > spec.threshold) <= 0.05
    assert spec.threshold >= np.quantile(scores, 0.95)


def test_equal_scores_are_their_own_threshold() -> None:
    spec = site_threshold(np.full(20, 0.7), 0.01, kind="windows")

    assert (spec.threshold, spec.clear_threshold) == (0.7, 0.7)


def test_the_stated_rate_holds_for_scores_of_new_days() -> None:
    rng = np.random.default_rng(3)
    above = 0
    for _ in range(300):  # ten minutes, each a little different, then any later minute
        minutes = rng.normal(0.0, 0.1, 10).repeat(6)
        spec = site_threshold(np.exp(minutes + rng.normal(0, 0.1, 60)), 0.05, kind="windows")
        later = np.exp(rng.normal(0.0, 0.1, 200) + rng.normal(0, 0.1, 200))
        above += int((later > spec.threshold).sum())
    assert above / (300 * 200) < 0.055


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        site_threshold(np.ones(20), rate, kind="windows")


@pytest.mark.parametrize("scores", [np.zeros(0), np.array([1.0, np.nan])])
def test_scores_that_say_nothing_are_refused(scores: Floats) -> None:
    with pytest.raises(DataError):
        site_threshold(scores, 0.01, kind="windows")


def test_standardised_terms_get_the_statistics_of_the_site() -> None:
    inner = FusionSpec(
        terms=(TermSpec(of="a", weight=0.75), TermSpec(of="b", weight=0.25)), method="m"
    )
    fusion = FusionSpec(
        terms=(
            TermSpec(of=inner, weight=0.5, mean=9.0, std=3.0),
            TermSpec(of="c", weight=0.5, mean=1.0, std=2.0),
        ),
        method="m",
    )
    scores = {name: np.random.default_rng(i).normal(i, 1.0, 40) for i, name in enumerate("abc")}

    found = refitted(fusion, scores)

    assert [term.weight for term in found.terms] == [0.5, 0.5]
    assert found.terms[0].of == inner
    mixed = 0.75 * scores["a"] + 0.25 * scores["b"]
    assert found.terms[0].mean == pytest.approx(mixed.mean())
    assert found.terms[1].std == pytest.approx(scores["c"].std())


def test_terms_without_statistics_keep_none() -> None:
    fusion = FusionSpec(terms=(TermSpec(of="a", weight=1.0),), method="m")

    assert refitted(fusion, {"a": np.arange(5.0)}) == fusion


def test_a_typical_normalisation_is_the_median_of_all() -> None:
    known = [
        ScoreNormalisation(np.array([1.0, 2.0]), np.zeros(2)),
        ScoreNormalisation(np.array([9.0]), np.array([3.0])),
    ]

    typical = ScoreNormalisation.joined(known).typical(2)

    assert typical.scale.tolist() == [2.0, 2.0]
    assert typical.offset.tolist() == [0.0, 0.0]
