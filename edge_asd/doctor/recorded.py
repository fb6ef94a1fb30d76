"""What a short recording tells about microphones and wiring.

These are questions for a person who stands beside the device. The monitor asks its own,
over hours: :mod:`edge_asd.signal.quality`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import level_dbfs
from edge_asd.doctor.verdict import Verdict, ok, problem, warning

__all__ = ["Hum", "channels", "clipping", "hum", "level", "mains_hum", "offset", "verdicts"]

Audio = NDArray[np.float32]

_CHANNELS = ("near", "far")
_QUIET_DBFS = -70.0  # little above the noise of a 16-bit card
_LOUD_DBFS = -6.0  # a machine that gets louder will clip
_DEAD_DB = 40.0  # below the other channel
_FULL_SCALE = 0.999
_MAX_CLIPPED = 1e-3  # share of the samples
_MAX_OFFSET = 0.02
_SAME_DB = -80.0  # of the difference, against the signal
_N_HARMONICS = 6
_HALF_WIDTH_HZ = 1.5
_HUM_SHARE = 0.3  # of the power in all harmonics
_FUNDAMENTAL_SHARE = 0.05  # and at the mains frequency itself, which motors seldom make


@dataclass(frozen=True, slots=True)
class Hum:
    """Share of a signal's power that is at a mains frequency and its harmonics."""

    mains_hz: int
    share: float
    fundamental_share: float


def verdicts(audio: Audio, sample_rate_hz: int) -> Iterator[Verdict]:
    """Everything about a recording (2, n), near first."""
    if not audio.shape[-1] or not np.any(audio):
        advice = "is the microphone plugged in and switched on, its gain above zero? see alsamixer"
        yield problem("level", "digital silence in both channels", advice)
        return
    yield level(audio)
    yield channels(audio)
    yield clipping(audio)
    yield offset(audio)
    yield hum(audio, sample_rate_hz)


def level(audio: Audio) -> Verdict:
    """Judge the loudness."""
    levels = level_dbfs(audio)
    found = _both(f"{value:.0f} dBFS" for value in levels)
    if levels.max() < _QUIET_DBFS:
        advice = "does the machine run? else raise the gain in alsamixer, or move closer"
        return warning("level", found, advice)
    if levels.max() > _LOUD_DBFS:
        return warning("level", found, "lower the gain in alsamixer, or move away")
    return ok("level", found)


def channels(audio: Audio) -> Verdict:
    """Judge whether there are two microphones."""
    near, far = audio.astype(np.float64)
    levels = level_dbfs(audio)
    quiet = int(np.argmin(levels))
    if levels.max() - levels.min() > _DEAD_DB:
        found = f"the {_CHANNELS[quiet]} channel is {abs(levels[0] - levels[1]):.0f} dB below"
        return problem("channels", found, f"look after the {_CHANNELS[quiet]} microphone's cable")
    difference_dbfs = level_dbfs((near - far)[None].astype(np.float32))[0]
    if difference_dbfs - levels.max() < _SAME_DB:
        advice = "this is one microphone posing as two: connect a second one"
        return problem("channels", "both channels are the same signal", advice)
    correlation = float(np.corrcoef(near, far)[0, 1])
    return ok("channels", f"two different signals, correlation {correlation:.2f}")


def clipping(audio: Audio) -> Verdict:
    """Judge how much is at full scale."""
    shares = np.mean(np.abs(audio) >= _FULL_SCALE, axis=1)
    if not shares.any():
        peaks_db = 20 * np.log10(np.maximum(np.abs(audio).max(axis=1), 1e-5))
        return ok("clipping", f"none; peaks {_both(f'{peak:.0f} dBFS' for peak in peaks_db)}")
    found = f"at full scale: {_both(f'{share:.2%}' for share in shares)}"
    advice = "lower the gain in alsamixer"
    if shares.max() > _MAX_CLIPPED:
        return problem("clipping", found, advice)
    return warning("clipping", found, advice)


def offset(audio: Audio) -> Verdict:
    """Judge the constant part."""
    means = audio.mean(axis=1, dtype=np.float64)
    found = _both(f"{mean:+.3f}" for mean in means)
    if np.abs(means).max() > _MAX_OFFSET:
        return warning("offset", found, "a faulty card or microphone power; try another input")
    return ok("offset", found)


def hum(audio: Audio, sample_rate_hz: int) -> Verdict:
    """Judge the share of mains hum."""
    worst = max(
        (mains_hum(channel, sample_rate_hz, mains) for channel in audio for mains in (50, 60)),
        key=lambda hum: min(hum.share, hum.fundamental_share / _FUNDAMENTAL_SHARE),
    )
    found = f"{worst.share:.0%} of the power at {worst.mains_hz} Hz and its harmonics"
    if worst.share > _HUM_SHARE and worst.fundamental_share > _FUNDAMENTAL_SHARE:
        advice = "if the machine is off: another supply, or cables away from mains cables"
        return warning("hum", found, advice)
    return ok("hum", found)


def mains_hum(channel: NDArray[np.float32], sample_rate_hz: int, mains_hz: int) -> Hum:
    """Measure the hum in one channel (n,)."""
    centred = channel.astype(np.float64) - channel.mean(dtype=np.float64)
    power = np.abs(np.fft.rfft(centred * np.hanning(len(centred)))) ** 2
    frequencies_hz = np.fft.rfftfreq(len(centred), 1 / sample_rate_hz)
    total = max(float(power.sum()), np.finfo(np.float64).tiny)

    def share(harmonic: int) -> float:
        near = np.abs(frequencies_hz - harmonic * mains_hz) <= _HALF_WIDTH_HZ
        return float(power[near].sum()) / total

    shares = [share(harmonic) for harmonic in range(1, _N_HARMONICS + 1)]
    return Hum(mains_hz, sum(shares), shares[0])


def _both(values: Iterator[str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(_CHANNELS, values, strict=True))
