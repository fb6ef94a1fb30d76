"""Scores of a stream are those of the recording, whatever the blocks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from device.mini_bundle import MACHINE, machine_day
from device.stream import Level, WeightedSum, cut, noise, sliced_scores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_asd.audio.block import Block, Gap
from edge_asd.bundle.bundle import Bundle
from edge_asd.scoring.stream import ScoredStream, ScoredWindow

SCORE_TOLERANCE = 1e-6


def scored(stream: ScoredStream, items: Iterable[Block | Gap]) -> list[ScoredWindow]:
    windows = [window for item in items for window in stream.push(item)]
    return [window for window in windows if isinstance(window, ScoredWindow)]


@given(
    hop=st.integers(1, 500),
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    n_samples=st.integers(200, 3000),
)
def test_any_blocks_and_any_hop_score_as_the_whole_recording_does(
    hop: int, lengths: list[int], n_samples: int
) -> None:
    detector = WeightedSum(200)
    audio = noise(n_samples)

    windows = scored(ScoredStream(detector, hop / detector.sample_rate_hz), cut(audio, lengths))

    found = [(window.start_sample, window.result) for window in windows]
    assert found == sliced_scores(detector, audio, hop)


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    hop=st.integers(3000, 40000),
    lengths=st.lists(st.integers(100, 30000), min_size=1, max_size=4),
)
def test_a_real_bundle_scores_a_stream_as_it_scores_a_recording(
    mini_bundle: Path, hop: int, lengths: list[int]
) -> None:
    detector = Bundle.open(mini_bundle).detector(MACHINE)
    audio = machine_day({"normal": 1.5, "fault": 1.5})

    stream = ScoredStream(detector, hop / detector.sample_rate_hz)
    streamed = [window.result.score for window in scored(stream, cut(audio, lengths))]

    offline = [score.score for _, score in sliced_scores(detector, audio, hop)]
    assert streamed == pytest.approx(offline, abs=SCORE_TOLERANCE)


@given(
    stretches=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 400)), min_size=1, max_size=5),
    hop=st.integers(1, 150),
)
def test_no_window_spans_a_gap(stretches: list[tuple[int, int]], hop: int) -> None:
    items: list[Block | Gap] = []
    position = 0
    for i, (lost, length) in enumerate(stretches):
        position += lost
        items += [Gap(position, lost, "lost"), Block(position, np.full((2, length), i, np.float32))]
        position += length

    for window in scored(ScoredStream(Level(100), hop / 100), items):
        assert (window.audio == window.audio[0, 0]).all()
