from __future__ import annotations

import numpy as np
import pytest

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.learn.calibration import (
    WindowPlace,
    recording_blocks,
    refitted,
    shared_sound,
)
from edge_asd.scoring.bank import ScoreNormalisation


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
