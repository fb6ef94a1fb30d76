"""Resampling a stream is the same as resampling the whole recording."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from device.stream import WeightedSum, cut, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.audio.resample import resampled
from edge_asd.audio.source import Block
from edge_asd.scoring.stream import ScoredStream, ScoredWindow

RATES_HZ = st.sampled_from([8000, 22050, 44100, 48000, 96000])
LENGTHS = st.lists(st.integers(1, 5000), min_size=1, max_size=6)
AMPLITUDE_TOLERANCE = 1e-3  # -60 dB: far above the filter's ripple, far below any mistake


def joined(blocks: Iterable[Block]) -> NDArray[np.float32]:
    return np.concatenate([block.audio for block in blocks], axis=1)


@settings(max_examples=40)
@given(rate_hz=RATES_HZ, n_frames=st.integers(1, 20000), lengths=LENGTHS)
def test_blocks_do_not_matter_to_the_last_bit(
    rate_hz: int, n_frames: int, lengths: list[int]
) -> None:
    audio = noise(n_frames)
    whole = joined(resampled([Block(0, audio)], rate_hz, 16000))

    streamed = joined(resampled(cut(audio, lengths), rate_hz, 16000))

    assert np.array_equal(streamed, whole)
    assert abs(whole.shape[1] - n_frames * 16000 / rate_hz) <= 0.5


@settings(max_examples=25)
@given(
    rate_hz=RATES_HZ,
    window=st.integers(400, 1600),
    hop=st.integers(50, 2000),
    lengths=LENGTHS,
)
def test_scores_through_the_resampler_do_not_depend_on_the_blocks(
    rate_hz: int, window: int, hop: int, lengths: list[int]
) -> None:
    audio = noise(rate_hz // 4)
    detector = WeightedSum(window)

    def scores(blocks: Iterable[Block]) -> list[float]:
        steps = ScoredStream(detector, hop).steps(resampled(blocks, rate_hz, 16000))
        return [step.result.score for step in steps if isinstance(step, ScoredWindow)]

    assert scores(cut(audio, lengths)) == scores([Block(0, audio)])


@pytest.mark.parametrize("rate_hz", [44100, 48000])
def test_a_tone_keeps_its_amplitude_and_its_time(rate_hz: int) -> None:
    def tone(rate_hz: int) -> NDArray[np.float32]:
        time_s = np.arange(rate_hz) / rate_hz
        return np.stack([np.sin(6283.2 * time_s), np.cos(1000 * time_s)]).astype(np.float32)

    found = joined(resampled(cut(tone(rate_hz), [777]), rate_hz, 16000))

    inside = slice(1000, -1000)  # filters ring at a hard start and end
    assert np.abs(found - tone(16000))[:, inside].max() < AMPLITUDE_TOLERANCE


def test_frequencies_beyond_the_new_band_do_not_fold_back() -> None:
    time_s = np.arange(48000) / 48000
    audio = np.tile(np.sin(2 * np.pi * 10000 * time_s), (2, 1)).astype(np.float32)

    found = joined(resampled([Block(0, audio)], 48000, 16000))

    assert np.abs(found[:, 1000:-1000]).max() < AMPLITUDE_TOLERANCE


def test_positions_are_contiguous() -> None:
    expected = 0
    for block in resampled(cut(noise(48000), [999, 1]), 44100, 16000):
        assert block.start_frame == expected
        expected = block.end_frame


def test_nothing_leaks_across_a_gap() -> None:
    before, after = np.ones((2, 4800), np.float32), np.zeros((2, 4800), np.float32)

    blocks = list(resampled([Block(0, before), Block(9600, after, "lost")], 48000, 16000))

    gaps = [block for block in blocks if block.gap is not None]
    assert [(gap.start_frame, gap.gap) for gap in gaps] == [(3200, "lost")]
    tail = joined(block for block in blocks if block.start_frame >= 3200)
    assert tail.shape == (2, 1600)
    assert not tail.any()


def test_a_jump_without_a_reason_is_a_gap_too() -> None:
    audio = noise(480)

    blocks = list(resampled([Block(0, audio), Block(960, audio)], 48000, 16000))

    assert [block.start_frame for block in blocks if block.gap] == [320]


def test_the_same_rate_changes_nothing() -> None:
    blocks = [Block(0, noise(10)), Block(15, noise(3), "lost")]

    assert list(resampled(blocks, 16000, 16000)) == blocks


def test_an_empty_block_passes_while_the_card_is_silent() -> None:
    silent = Block(4800, np.empty((2, 0), np.float32))

    blocks = list(resampled([Block(0, noise(4800)), silent], 48000, 16000))

    assert len(blocks) == 3
    assert blocks[1].n_frames == 0
    assert joined(blocks).shape == (2, 1600)
