"""Faults of microphones and converters are found, told once, and cleared."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import soxr
from device.faulty_sound import (
    FAULTS,
    LSB,
    RATE_HZ,
    START,
    Audio,
    Ears,
    as_16_bit,
    far_hears_its_converter,
    mono,
    near_unplugged,
    repeated_block,
    room,
    silence,
    too_loud,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.profile import SignalSettings
from edge_asd.signal.chunk import measure_chunk
from edge_asd.signal.quality import SignalQuality
from edge_asd.signal.reference import SignalReference

CARD_RATE_HZ = 48000
each_fault = pytest.mark.parametrize(
    ("fault", "name", "raise_s", "clear_s"), FAULTS, ids=[case[0].__name__ for case in FAULTS]
)


def test_an_ordinary_signal_has_no_faults_and_all_of_it_is_usable() -> None:
    ears = Ears()

    ears.feed(room(90))

    assert ears.story == []
    assert ears.quality.usable(0.0, 90.0)


@each_fault
def test_a_fault_is_raised_when_it_lasts_and_cleared_when_it_is_gone_for_long(
    fault: Callable[[Audio], Audio], name: str, raise_s: float, clear_s: float
) -> None:
    ears = Ears()

    ears.feed(room(5))
    ears.feed(fault(room(20, seed=1)))
    ears.feed(room(clear_s + 5, seed=2))

    assert ears.story == [(name, True), (name, False)]
    assert ears.times_s == [
        pytest.approx(5 + raise_s, abs=0.11),
        pytest.approx(25 + clear_s, abs=0.11),
    ]
    assert {"near_dbfs", "far_dbfs"} <= set(ears.changes[0].figures)
    assert all("{" not in change.detail for change in ears.changes)


@each_fault
def test_a_short_fault_is_passed_over(
    fault: Callable[[Audio], Audio], name: str, raise_s: float, clear_s: float
) -> None:
    ears = Ears()

    ears.feed(room(5))
    ears.feed(fault(room(raise_s - 1, seed=1)))
    ears.feed(room(clear_s, seed=2))

    assert ears.story == []


@each_fault
def test_a_fault_of_the_card_is_found_behind_the_resampler(
    fault: Callable[[Audio], Audio], name: str, raise_s: float, clear_s: float
) -> None:
    ears = Ears()
    at_card = fault(room(15, rate_hz=CARD_RATE_HZ))
    frames = soxr.resample(np.ascontiguousarray(at_card.T), CARD_RATE_HZ, RATE_HZ)

    ears.feed(np.ascontiguousarray(frames.T))

    assert ears.story == [(name, True)]


def test_clipping_is_measured_although_the_resampler_overshoots() -> None:
    at_card = too_loud(room(4, rate_hz=CARD_RATE_HZ))
    audio = soxr.resample(np.ascontiguousarray(at_card.T), CARD_RATE_HZ, RATE_HZ).T

    chunk = measure_chunk(np.ascontiguousarray(audio[:, RATE_HZ : 2 * RATE_HZ]))

    truly_clipped = (np.abs(at_card) >= 0.9999).mean(axis=1)
    assert np.abs(audio).max() > 1.05
    assert chunk.clipped == pytest.approx(truly_clipped, rel=0.5)


def test_a_sound_that_just_fits_does_not_clip() -> None:
    ears = Ears()
    sound = room(20)

    ears.feed((sound * (0.9999 / np.abs(sound).max())).astype(np.float32))

    assert ears.story == []


@given(lengths=st.lists(st.integers(1, 40_000), min_size=1, max_size=8))
@settings(max_examples=6)
def test_what_is_found_does_not_depend_on_the_size_of_the_blocks(lengths: list[int]) -> None:
    audio = np.concatenate(
        [room(3.05), silence(room(4.3)), room(2, seed=1), near_unplugged(room(9, seed=2))], axis=1
    )
    whole, cut = Ears(), Ears()

    whole.feed(audio, audio.shape[1])
    position, i = 0, 0
    while position < audio.shape[1]:
        length = lengths[i % len(lengths)]
        cut.feed(audio[:, position : position + length], length)
        position, i = position + length, i + 1

    assert cut.story == whole.story
    assert [change.figures for change in cut.changes] == [c.figures for c in whole.changes]
    for start_s in np.arange(0, 17, 0.25).tolist():
        assert cut.quality.usable(start_s, start_s + 1) == whole.quality.usable(
            start_s, start_s + 1
        )


def test_empty_blocks_say_nothing() -> None:
    ears = Ears()
    ears.feed(room(1.5))

    ears.quality.on_block(ears.moment, np.empty((2, 0), np.float32))
    ears.feed(silence(room(10)))

    assert ears.story == [("signal_silent", True)]


def test_windows_that_touch_a_drop_out_are_unusable_at_once() -> None:
    ears = Ears()
    audio = room(4.5)
    audio[:, round(4.0 * RATE_HZ) : round(4.2 * RATE_HZ)] = 0

    ears.feed(audio)

    assert not ears.quality.usable(3.5, 4.5)
    assert not ears.quality.usable(4.15, 4.5)
    assert ears.quality.usable(0.0, 4.0)
    assert ears.quality.usable(4.2, 4.5)
    assert ears.story == []


@pytest.mark.parametrize("fault", [near_unplugged, far_hears_its_converter, repeated_block])
def test_seconds_with_a_dead_channel_or_a_stuck_driver_are_unusable(
    fault: Callable[[Audio], Audio],
) -> None:
    ears = Ears()

    ears.feed(room(3))
    ears.feed(fault(room(2, seed=1)))
    ears.feed(room(3, seed=2))

    assert ears.quality.usable(0.0, 3.0)
    assert not ears.quality.usable(3.0, 3.5)
    assert not ears.quality.usable(2.0, 12.0)
    assert ears.quality.usable(5.0, 8.0)


def test_samples_that_are_no_numbers_are_unusable_and_spoil_nothing_else() -> None:
    ears = Ears()
    audio = room(6)
    audio[1, 2 * RATE_HZ + 7] = np.nan
    audio[0, 2 * RATE_HZ + 9] = np.inf

    ears.feed(audio)
    ears.feed(room(60, seed=1))

    assert not ears.quality.usable(2.0, 2.05)
    assert ears.quality.usable(2.1, 66.0)
    assert ears.story == []


def test_drop_outs_that_spoil_every_window_become_a_fault() -> None:
    ears = Ears()
    audio = room(300)
    for start in range(0, audio.shape[1], 8 * RATE_HZ):
        audio[:, start : start + RATE_HZ // 5] = 0

    ears.feed(audio)

    assert not any(ears.quality.usable(start_s, start_s + 10) for start_s in range(200, 290))
    assert ears.story == [("signal_silent", True)]


@pytest.mark.parametrize("hiss_lsb", [0.5, 0.8, 1.0, 1.5, 2.5])
def test_two_open_inputs_are_never_called_one_dead_channel(hiss_lsb: float) -> None:
    ears = Ears()
    hiss = np.random.default_rng(4).standard_normal((2, 60 * RATE_HZ)) * hiss_lsb

    ears.feed(as_16_bit(hiss * LSB))

    assert ears.story in ([], [("signal_silent", True)])


def test_a_deaf_monitor_does_not_judge_the_rest() -> None:
    ears = Ears()
    ears.feed(mono(room(15)))

    ears.feed(silence(room(100)))

    assert ears.story == [("signal_identical", True), ("signal_silent", True)]


def test_both_channels_dead_is_not_one_channel_dead() -> None:
    ears = Ears()

    ears.feed(np.zeros((2, 20 * RATE_HZ), np.float32))
    ears.feed(np.stack([np.zeros(20 * RATE_HZ), np.full(20 * RATE_HZ, 0.5)]).astype(np.float32))

    assert ears.story == [("signal_silent", True), ("signal_stuck", True)]


def test_no_chunk_spans_a_gap() -> None:
    ears = Ears()
    ears.feed(room(0.55))

    for _ in range(60):  # a tenth of a second of silence, then nothing, again and again
        ears.lose(3.0)
        ears.feed(silence(room(0.1)))
        assert not ears.quality.usable(ears.now_s - 0.1, ears.now_s)
    ears.lose(3.0)
    ears.feed(room(60))

    assert ears.story == []
    assert ears.quality.usable(ears.now_s - 60, ears.now_s)


def test_a_fault_goes_on_across_a_gap() -> None:
    ears = Ears()

    for _ in range(4):
        ears.feed(silence(room(1.5)))
        ears.lose(1.0)

    assert ears.story == [("signal_silent", True)]


def test_nothing_is_checked_where_the_profile_says_so() -> None:
    heard: list[FaultChange] = []
    off = SignalSettings(checks=False, level_tolerance_db=12.0)
    quality = SignalQuality(heard.append, off, sample_rate_hz=RATE_HZ, reference=None)

    quality.on_block(Moment(START, 20.0, "fan"), np.zeros((2, 20 * RATE_HZ), np.float32))

    assert heard == []
    assert quality.usable(0.0, 20.0)


@pytest.mark.parametrize("rate_hz", [100, 8000, 22050, 48000])
def test_silence_is_found_at_any_rate(rate_hz: int) -> None:
    ears = Ears(rate_hz=rate_hz)

    ears.feed(room(12, rate_hz=rate_hz), rate_hz // 10)
    ears.feed(np.zeros((2, 5 * rate_hz), np.float32), rate_hz // 10)

    assert ears.story == [("signal_silent", True)]


def test_memory_does_not_grow() -> None:
    ears = Ears(rate_hz=1000)
    audio = room(100, rate_hz=1000)
    for start in range(0, audio.shape[1], 2000):
        audio[:, start : start + 200] = 0
    ears.feed(audio, 100)
    ears.feed(audio, 100)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for _ in range(10):
        ears.feed(audio, 100)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert grown < 100_000  # at most 600 unusable stretches of two numbers are remembered


def test_a_second_of_sound_costs_little() -> None:
    ears = Ears(SignalReference.measure([room(10)], RATE_HZ))
    audio = room(10)
    costs = []

    for _ in range(5):
        begun = time.process_time()
        ears.feed(audio)
        costs.append((time.process_time() - begun) / 10)

    assert min(costs) < 2e-3  # about 0.5 ms; a window's score takes a hundred times as long
