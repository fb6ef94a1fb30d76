"""Weighted sums of branch scores, nested and standardised."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse


def mix(*terms: TermSpec) -> FusionSpec:
    return FusionSpec(terms=terms, method="for a test")


CHANNELS = mix(TermSpec(of="near", weight=0.75), TermSpec(of="far", weight=0.25))
NESTED = mix(
    TermSpec(of=CHANNELS, weight=0.5, mean=2.0, std=4.0),
    TermSpec(of="stereo", weight=0.5, mean=-1.0, std=0.5),
)


def test_fusion_is_the_weighted_sum():
    assert fuse(CHANNELS, {"near": 4.0, "far": 8.0}) == 5.0


def test_terms_are_standardised_before_they_are_weighted():
    spec = mix(TermSpec(of="near", weight=0.5, mean=3.0, std=2.0), TermSpec(of="far", weight=0.5))
    assert fuse(spec, {"near": 7.0, "far": 1.0}) == 1.5


def test_a_nested_mix_is_fused_first():
    scores = {"near": 4.0, "far": 8.0, "stereo": 1.0}
    assert fuse(NESTED, scores) == 0.5 * (5.0 - 2.0) / 4.0 + 0.5 * (1.0 + 1.0) / 0.5


def test_arrays_fuse_as_their_elements_do():
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(7) for name in ("near", "far", "stereo")}
    each = [fuse(NESTED, {name: float(a[i]) for name, a in arrays.items()}) for i in range(7)]
    assert np.array_equal(fuse(NESTED, arrays), each)


def test_scores_are_left_as_they_were_and_a_scalar_stays_a_float():
    scores = {"near": np.ones(3), "far": np.zeros(3)}
    fuse(CHANNELS, scores)
    assert np.array_equal(scores["near"], np.ones(3))
    assert type(fuse(CHANNELS, {"near": 1.0, "far": 2.0})) is float


def test_scores_of_other_branches_are_ignored():
    assert fuse(CHANNELS, {"near": 4.0, "far": 8.0, "other": 9.0}) == 5.0


def test_a_missing_branch_is_named():
    with pytest.raises(DataError, match="no score of branch 'far' to fuse; there are: near"):
        fuse(CHANNELS, {"near": 1.0})
