"""The sounds that machines are made of: turning, noise, impacts and ringing.

All signals are (n_samples,) float64 at 16 kHz. Every function draws the same number of random
values whatever the state of the machine, so a healthy and a faulty machine built from the same
generator differ by the fault alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft, rfftfreq
from scipy.signal import lfilter

from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ

__all__ = ["Signal", "drift", "harmonics", "impulses", "noise", "ring", "rms", "turning"]

Signal = NDArray[np.float64]

_HIGHEST_TONE_HZ = 7600.0  # just below half the sample rate; higher harmonics would fold back


def drift(n_samples: int, bandwidth_hz: float, rng: np.random.Generator) -> Signal:
    """A slow random process of about unit variance: speed, load and friction are never constant."""
    knot_s = 0.5 / bandwidth_hz
    n_knots = int(n_samples / SAMPLE_RATE_HZ / knot_s) + 3
    # Interpolating independent knots linearly leaves two thirds of their variance.
    knots = rng.normal(0.0, np.sqrt(1.5), n_knots)
    position = np.arange(n_samples) / (SAMPLE_RATE_HZ * knot_s)
    return np.interp(position, np.arange(n_knots), knots)


def turning(speed_hz: Signal, rng: np.random.Generator) -> Signal:
    """Phase in radians of a shaft that turns at `speed_hz`, from a random angle."""
    return 2 * np.pi * (rng.random() + np.cumsum(speed_hz) / SAMPLE_RATE_HZ)


def harmonics(phase: Signal, amplitudes: Sequence[float], rng: np.random.Generator) -> Signal:
    """Sum of a_k cos(k phase + random angle), k = 1, 2, ...; silent where it would alias."""
    angles = rng.uniform(0.0, 2 * np.pi, len(amplitudes))
    frequency_hz = np.gradient(phase) * SAMPLE_RATE_HZ / (2 * np.pi)
    highest_hz = frequency_hz.max()
    total = np.zeros_like(phase)
    for k, (amplitude, angle) in enumerate(zip(amplitudes, angles, strict=True), start=1):
        tone = amplitude * np.cos(k * phase + angle)
        if k * highest_hz > _HIGHEST_TONE_HZ:
            tone *= k * frequency_hz < _HIGHEST_TONE_HZ
        total += tone
    return total


def noise(
    n_samples: int,
    low_hz: float,
    high_hz: float,
    rng: np.random.Generator,
    *,
    slope_db_per_octave: float = 0.0,
) -> Signal:
    """Gaussian noise of unit RMS between two frequencies, with second-order skirts."""
    frequency_hz = np.maximum(rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ), 1.0)
    gain = (frequency_hz / low_hz) ** (slope_db_per_octave / 6.0206)
    gain /= np.sqrt(1 + (low_hz / frequency_hz) ** 4) * np.sqrt(1 + (frequency_hz / high_hz) ** 4)
    shaped = irfft(rfft(rng.standard_normal(n_samples)) * gain, n_samples)
    return shaped / rms(shaped)


def impulses(phase: Signal, rng: np.random.Generator, *, jitter: float = 0.0) -> Signal:
    """One impulse of about unit height per full turn of `phase`.

    `jitter` is the standard deviation of each impulse's time in turns: rolling elements slip.
    """
    turns = phase / (2 * np.pi)
    wander = jitter * rng.standard_normal(int(turns[-1]) + 2)
    whole = np.floor(turns).astype(np.intp)
    moments = np.flatnonzero(np.diff(whole, prepend=whole[0]) > 0)
    heights = rng.normal(1.0, 0.1, len(moments))
    samples_per_turn = 1 / np.maximum(np.gradient(turns)[moments], 1e-9)
    moved = moments + wander[whole[moments]] * samples_per_turn
    train = np.zeros_like(phase)
    np.add.at(train, np.clip(moved, 0, len(phase) - 1).astype(np.intp), heights)
    return train


def ring(excitation: Signal, modes: Sequence[tuple[float, float, float]]) -> Signal:
    """What a structure makes of an excitation: a sum of decaying sines, one per mode.

    Parameters
    ----------
    excitation
        Impulses or noise, (n_samples,).
    modes
        (frequency in Hz, time constant of the decay in ms, gain) of each resonance.
    """
    total = np.zeros_like(excitation)
    for frequency_hz, decay_ms, gain in modes:
        radius = np.exp(-1e3 / (decay_ms * SAMPLE_RATE_HZ))
        angle = 2 * np.pi * frequency_hz / SAMPLE_RATE_HZ
        poles = [1.0, -2 * radius * np.cos(angle), radius**2]
        total += gain * np.sin(angle) * lfilter([1.0], poles, excitation)
    return total


def rms(signal: Signal) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(signal**2)))
