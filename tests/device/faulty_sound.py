"""Sound as faulty microphones and converters deliver it, and ears that listen to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.profile import SignalSettings
from edge_asd.signal.chunk import Chunk
from edge_asd.signal.faults import CHUNK_FAULTS, SignalFault
from edge_asd.signal.quality import SignalQuality
from edge_asd.signal.reference import SignalReference

Audio = NDArray[np.float32]
Spoil = Callable[[Audio], Audio]

RATE_HZ = 16000
LSB = 1 / 32768
START = datetime(2026, 11, 22, tzinfo=UTC)
SETTINGS = SignalSettings(checks=True, level_tolerance_db=12.0)


def room(seconds: float, *, rms: float = 0.02, seed: int = 0, rate_hz: int = RATE_HZ) -> Audio:
    """Both microphones, (2, n) in 16 bits: near falls with frequency, far less so."""
    periods = math.ceil(seconds / 16)
    sound: Audio = np.tile(_room(min(seconds, 16.0), rms, seed, rate_hz), periods)
    return sound[:, : round(seconds * rate_hz)]


@lru_cache
def _room(seconds: float, rms: float, seed: int, rate_hz: int) -> Audio:
    n_samples = round(seconds * rate_hz)
    white = np.random.default_rng(seed).standard_normal((2, n_samples))
    white[1] += 0.3 * white[0]
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / rate_hz)
    spectrum = np.fft.rfft(white) / (1 + frequency_hz / np.array([[100.0], [500.0]]))
    spectrum[:, frequency_hz < 20] = 0
    sound = np.fft.irfft(spectrum, n_samples)
    return as_16_bit(sound * rms / sound.std(axis=1, keepdims=True))


def as_16_bit(sound: Any) -> Audio:
    return np.asarray(np.clip(np.round(sound / LSB), -32768, 32767) * LSB, np.float32)


class Ears:
    """Feeds audio in blocks and writes down what is reported, and when."""

    def __init__(
        self,
        reference: SignalReference | None = None,
        *,
        rate_hz: int = RATE_HZ,
        faults: Sequence[SignalFault[Chunk]] = CHUNK_FAULTS,
    ) -> None:
        self.rate_hz = rate_hz
        self.position = 0
        self.changes: list[FaultChange] = []
        self.times_s: list[float] = []
        self.quality = SignalQuality(
            self._hear, SETTINGS, sample_rate_hz=rate_hz, reference=reference, faults=faults
        )

    def _hear(self, change: FaultChange) -> None:
        self.changes.append(change)
        self.times_s.append(self.now_s)

    @property
    def now_s(self) -> float:
        return self.position / self.rate_hz

    @property
    def moment(self) -> Moment:
        return Moment(START + timedelta(seconds=self.now_s), self.now_s, "fan")

    @property
    def story(self) -> list[tuple[str, bool]]:
        return [(change.fault.name, change.active) for change in self.changes]

    def feed(self, audio: Audio, block_samples: int = RATE_HZ // 10) -> None:
        for start in range(0, audio.shape[1], block_samples):
            block = audio[:, start : start + block_samples]
            self.position += block.shape[1]
            assert list(self.quality.on_block(self.moment, block)) == []

    def lose(self, seconds: float) -> None:
        self.position += round(seconds * self.rate_hz)
        assert list(self.quality.on_gap(self.moment, seconds)) == []


def silence(sound: Audio) -> Audio:
    return np.zeros_like(sound)


def toggling_converter(sound: Audio) -> Audio:
    rng = np.random.default_rng(9)
    steps: NDArray[np.int64] = rng.integers(-1, 2, sound.shape)
    return as_16_bit(steps * LSB)


def constant(sound: Audio) -> Audio:
    return np.full_like(sound, 0.3)


def repeated_block(sound: Audio) -> Audio:
    period = 4800  # 0.1 s of the card, 0.3 s at the bundle's rate
    return np.tile(sound[:, :period], sound.shape[1] // period + 1)[:, : sound.shape[1]]


def near_unplugged(sound: Audio) -> Audio:
    return np.stack([np.zeros_like(sound[0]), sound[1]])


def far_hears_its_converter(sound: Audio) -> Audio:
    hiss = np.random.default_rng(8).standard_normal(sound.shape[1]) * 2 * LSB
    return np.stack([sound[0], as_16_bit(hiss)])


def far_stuck_at_the_rail(sound: Audio) -> Audio:
    return np.stack([sound[0], np.full_like(sound[1], 0.99997)])


def too_loud(sound: Audio) -> Audio:
    return as_16_bit(sound / 0.02 * 0.4)  # full scale is 2.5 standard deviations


def loud_taps(sound: Audio) -> Audio:
    taps = sound.copy()
    for start in range(0, taps.shape[1], 8000):  # 5 ms, twice a second
        taps[0, start : start + 80] *= 200
    return as_16_bit(taps)


def floats_in_16_bit_scale(sound: Audio) -> Audio:
    return sound * np.float32(32768)


def offset(sound: Audio) -> Audio:
    return as_16_bit(sound + np.array([[0.015], [0.0]]))


def offset_above_a_quiet_sound(sound: Audio) -> Audio:
    return as_16_bit(sound * 0.05 + np.array([[0.0], [-0.002]]))


def mono(sound: Audio) -> Audio:
    return np.stack([sound[0], sound[0]])


def mono_with_a_gain(sound: Audio) -> Audio:
    return as_16_bit(np.stack([sound[0], 0.3 * sound[0]]))


def quiet_mono_with_a_gain(sound: Audio) -> Audio:
    return as_16_bit(np.stack([0.1 * sound[0], 0.05 * sound[0]]))


def mono_with_two_converters(sound: Audio) -> Audio:
    hiss = np.random.default_rng(7).standard_normal(sound.shape) * LSB
    return as_16_bit(mono(sound) + hiss)


def balanced_cable_on_a_stereo_input(sound: Audio) -> Audio:
    return np.stack([sound[0], -sound[0]])


# What spoils the sound, what is said about it, and after how many seconds of it and without it.
FAULTS: list[tuple[Spoil, str, float, float]] = [
    (silence, "signal_silent", 3, 30),
    (toggling_converter, "signal_silent", 3, 30),
    (constant, "signal_stuck", 3, 30),
    (repeated_block, "signal_stuck", 3, 30),
    (near_unplugged, "signal_near_dead", 3, 30),
    (far_hears_its_converter, "signal_far_dead", 3, 30),
    (far_stuck_at_the_rail, "signal_far_dead", 3, 30),
    (floats_in_16_bit_scale, "signal_scale", 3, 30),
    (too_loud, "signal_clipping", 5, 30),
    (loud_taps, "signal_clipping", 5, 30),
    (offset, "signal_dc", 10, 30),
    (offset_above_a_quiet_sound, "signal_dc", 10, 30),
    (mono, "signal_identical", 10, 30),
    (mono_with_a_gain, "signal_identical", 10, 30),
    (quiet_mono_with_a_gain, "signal_identical", 10, 30),
    (mono_with_two_converters, "signal_identical", 10, 30),
    (balanced_cable_on_a_stereo_input, "signal_identical", 10, 30),
]
