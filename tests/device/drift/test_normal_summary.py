"""Summaries of normal sound are small and true."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_asd.drift.daily_sound import Today
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.errors import DataError


@given(n=st.integers(1, 20_000), seed=st.integers(0, 100), rising=st.booleans())
def test_a_thinned_day_has_the_quantiles_of_the_whole_day(n: int, seed: int, rising: bool) -> None:
    scores = np.random.default_rng(seed).lognormal(size=n)
    if rising:
        scores.sort()
    today = Today(day="2026-11-20")

    for score in scores.tolist():
        today.add((score, -30.0, -30.0), 1.0)
    found = today.finished().normal

    # Of at least 512 windows, or all of them: six standard errors of a quantile's rank.
    for quantile, value in [(0.05, found.score_p05), (0.5, found.score_median)]:
        rank = np.searchsorted(np.sort(scores), value) / n
        assert abs(rank - quantile) <= 6 * np.sqrt(quantile * (1 - quantile) / 512) + 1 / n
    assert len(today.windows) < 1024
    assert today.heard_s == n


def test_a_summary_survives_json() -> None:
    scores = np.random.default_rng(1).normal(1.3, 0.1, 500)
    summary = NormalSummary.measure(scores, np.tile([-32.0, -35.0], (500, 1)))

    copy = NormalSummary.model_validate_json(summary.model_dump_json())

    assert copy == summary
    assert summary.score_median == pytest.approx(np.median(scores))
    assert (summary.near_dbfs, summary.far_dbfs) == (-32.0, -35.0)


def test_a_summary_of_nothing_or_of_no_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="found \\(0,\\)"):
        NormalSummary.measure([], np.empty((0, 2)))
    with pytest.raises(DataError, match="finite"):
        NormalSummary.measure([1.0, float("nan")], np.zeros((2, 2)))
    with pytest.raises(ValidationError, match="score_p05"):
        NormalSummary.model_validate_json('{"score_median": 1.0}')
    with pytest.raises(ValidationError, match="finite"):
        NormalSummary(
            score_p05=1.2, score_median=1.31, score_p95=1.49, near_dbfs=-math.inf, far_dbfs=-35.0
        )
