"""Resampling a stream is the same as resampling the whole recording."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from device.stream import WeightedSum, cut, joined, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.decode import rounded_to_16_bits
from edge_asd.audio.resample import Resampler, resample
from edge_asd.scoring.stream import ScoredStream, ScoredWindow

RATES_HZ = st.sampled_from([8000, 22050, 44100, 48000, 96000])
LENGTHS = st.lists(st.integers(1, 5000), min_size=1, max_size=6)
AMPLITUDE_TOLERANCE = 1e-3  # -60 dB: far above the filter's ripple, far below any mistake


def resampled(
    items: Iterable[Block | Gap], source_rate_hz: int, target_rate_hz: int
) -> list[Block | Gap]:
    resampler = Resampler(source_rate_hz, target_rate_hz)
    return [new for item in items for new in resampler.push(item)] + resampler.finish()


@settings(max_examples=40)
@given(rate_hz=RATES_HZ, n_frames=st.integers(1, 20000), lengths=LENGTHS)
def test_blocks_do_not_matter_to_the_last_bit(
    rate_hz: int, n_frames: int, lengths: list[int]
) -> None:
    audio = noise(n_frames)
    whole = resample(audio, rate_hz, 16000)

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
        stream = ScoredStream(detector, hop / 16000)
        windows = [new for item in resampled(blocks, rate_hz, 16000) for new in stream.push(item)]
        return [window.result.score for window in windows if isinstance(window, ScoredWindow)]

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
        assert isinstance(block, Block)
        assert block.start_frame == expected
        expected = block.end_frame


def test_nothing_leaks_across_a_gap() -> None:
    before, after = np.ones((2, 4800), np.float32), np.zeros((2, 4800), np.float32)

    stream: list[Block | Gap] = [Block(0, before), Gap(9600, 4800, "lost"), Block(9600, after)]

    items = resampled(stream, 48000, 16000)

    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert gap == Gap(3200, 1600, "lost")
    first = items[items.index(gap) + 1]
    assert isinstance(first, Block) and first.start_frame == 3200
    tail = joined(items[items.index(gap) :])
    assert tail.shape == (2, 1600)
    assert not tail.any()


@pytest.mark.parametrize("n_frames", [771, 785, 799])
def test_a_gap_of_unknown_length_never_goes_back(n_frames: int) -> None:
    """Each stretch is rounded by itself, so three of them may be longer than their sum."""
    audio = noise(n_frames)
    stream: list[Block | Gap] = []
    for start in range(0, 10 * n_frames, n_frames):
        stream += [Block(start, audio), Gap(start + n_frames, 0, "lost")]

    items = resampled(stream, 11025, 16000)

    ends = [0, *(item.end_frame for item in items)]
    assert (np.diff(ends) >= 0).all()
    assert ends[-1] == pytest.approx(10 * n_frames * 16000 / 11025, abs=10)


def test_the_same_rate_changes_nothing() -> None:
    first, last = rounded_to_16_bits(noise(10)), rounded_to_16_bits(noise(3))
    items: list[Block | Gap] = [Block(0, first), Gap(15, 5, "lost"), Block(15, last)]

    found = resampled(items, 16000, 16000)

    assert [(type(item), item.end_frame) for item in found] == [(Block, 10), (Gap, 15), (Block, 18)]
    assert found[1] == items[1]
    assert np.array_equal(joined(found), joined(items))


def test_an_empty_block_passes_while_the_card_is_silent() -> None:
    silent = Block(4800, np.empty((2, 0), np.float32))

    blocks = resampled([Block(0, noise(4800)), silent], 48000, 16000)

    assert len(blocks) == 3
    assert joined(blocks[1:2]).shape == (2, 0)
    assert joined(blocks).shape == (2, 1600)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_what_comes_out_has_16_bits_as_training_clips_do(rate_hz: int) -> None:
    steps = 32768 * resample(noise(4800), rate_hz, 16_000)

    assert np.array_equal(steps, np.rint(steps))
