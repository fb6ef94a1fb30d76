"""From the embeddings of a window's segments to one score."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.bank import ExactBank
from edge_asd.scoring.kinds import DldnSpec, OutputSpec
from edge_asd.scoring.scorer import (
    BankScorer,
    exact_scores,
    normalise_rows,
    window_queries,
)

ROUNDING = 1e-6  # float32 unit vectors
SPEC = DldnSpec(k_source=3, k_target=2)
SEGMENTS = np.random.default_rng(5).standard_normal((6, 8)).astype(np.float32)


@pytest.fixture
def banks() -> dict[Domain, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return {
        "source": normalise_rows(rng.standard_normal((20, 8))),
        "target": normalise_rows(rng.standard_normal((5, 8))),
    }


def bank_scorer(banks: dict[Domain, NDArray[np.float32]], average: str) -> BankScorer:
    found = SPEC.normalisations(banks)
    opened = {d: ExactBank(rows, found[d], SPEC.distance) for d, rows in banks.items()}
    return BankScorer(opened, average)  # type: ignore[arg-type]


def test_mean_embeddings_are_scored_once(banks: dict[Domain, NDArray[np.float32]]) -> None:
    score = bank_scorer(banks, "embeddings").score(SEGMENTS)

    mean = normalise_rows(normalise_rows(SEGMENTS).mean(axis=0, keepdims=True))
    assert score == pytest.approx(exact_scores(mean, banks, SPEC)[0], rel=ROUNDING)


def test_mean_scores_are_those_of_every_segment(banks: dict[Domain, NDArray[np.float32]]) -> None:
    score = bank_scorer(banks, "scores").score(SEGMENTS)

    each = exact_scores(normalise_rows(SEGMENTS), banks, SPEC)
    assert each.std() > 0.01
    assert score == pytest.approx(each.mean(), rel=ROUNDING)


def test_one_segment_has_one_score(banks: dict[Domain, NDArray[np.float32]]) -> None:
    scores = [bank_scorer(banks, kind).score(SEGMENTS[:1]) for kind in ("embeddings", "scores")]

    assert scores[0] == scores[1]


@given(gains=st.lists(st.floats(1e-3, 1e3), min_size=6, max_size=6))
def test_a_segment_counts_by_its_direction_not_its_length(gains: list[float]) -> None:
    louder = SEGMENTS * np.array(gains, np.float32)[:, None]

    np.testing.assert_allclose(
        window_queries(louder, "embeddings"), window_queries(SEGMENTS, "embeddings"), atol=ROUNDING
    )


def test_queries_of_many_windows_are_those_of_each() -> None:
    windows = np.random.default_rng(1).standard_normal((4, 6, 8))

    for average, n_queries in (("embeddings", 1), ("scores", 6)):
        together = window_queries(windows, average)  # type: ignore[arg-type]
        alone = [window_queries(window, average) for window in windows]  # type: ignore[arg-type]
        assert together.shape == (4, n_queries, 8)
        assert together.dtype == np.float32
        np.testing.assert_allclose(together, np.stack(alone), atol=ROUNDING)
        np.testing.assert_allclose(np.linalg.norm(together, axis=-1), 1.0, atol=ROUNDING)


def test_segments_that_cancel_out_have_no_mean_direction() -> None:
    opposite = np.stack([SEGMENTS[0], -SEGMENTS[0]])

    with pytest.raises(DataError, match="all zeros"):
        window_queries(opposite, "embeddings")


@pytest.mark.parametrize("output", [0, 2])
def test_an_output_is_averaged_over_segments(output: int) -> None:
    score = OutputSpec(output=output).score(SEGMENTS)

    assert score == pytest.approx(fmean(map(float, SEGMENTS[:, output])))


def test_an_output_of_zeros_is_a_score() -> None:
    assert OutputSpec(output=0).score(np.zeros((2, 2), np.float32)) == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_refused(value: float) -> None:
    bad = SEGMENTS.copy()
    bad[3, 1] = value

    with pytest.raises(DataError, match="1 of 6 embeddings are not finite"):
        OutputSpec(output=0).score(bad)


def test_a_bank_scorer_without_banks_is_refused() -> None:
    with pytest.raises(DataError, match="at least one domain"):
        BankScorer({})
