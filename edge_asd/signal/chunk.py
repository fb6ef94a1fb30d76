"""What a chunk, a second of sound, says about the microphones, whatever the machine does.

The limits were set on 6,902 seconds of real recordings of four machines, of which none
may look faulty, and on faults made from them. They were recorded at -67 to -46 dBFS, which is
far quieter than a well adjusted input, so that the margins below are the small ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import CHANNELS
from edge_asd.audio.level import power_dbfs

__all__ = [
    "SLICES",
    "Chunk",
    "by_channel",
    "chunk_samples",
    "chunks_of",
    "is_unusable",
    "measure_chunk",
]

Floats = NDArray[np.float64]

_LSB = 1 / 32768  # step of 16-bit audio
SLICES = 10  # per chunk

_CHUNK_S = 1.0

# A converter without input toggles between neighbouring codes, which resampling blurs. Over 0.1 s
# the quietest real channel spans 60 steps.
_FLAT_SPAN = 5 * _LSB
# Floats may be in any scale. Clipped noise that was resampled stays below 3.
_BEYOND = 4.0
# Resampling rounds the plateaus of clipped sound and overshoots full scale. From here up lie
# as many samples as were clipped before it (0.8 to 1.2 times as many, 48 to 16 kHz).
_CLIPPED = 0.98
# The channels of real pairs share at most 0.31 of their power (1 - r^2 is above 0.69).
_SAME_RESIDUAL = 1e-3
_SAME_NOISE = 10 ** (-50 / 20)  # what two converters of one signal may add, by its level
_SAME_ROUNDING = 0.6 * _LSB  # and what rounding both adds: two times sqrt(1/12), and some room
_REPEAT_TOLERANCE = 1e-4  # of the span; resampling rounds differently in each repetition
# A socket without a microphone hears the converter alone, below -78 dBFS with 16 bits. Real
# channels differ by at most 10.4 dB within any second, and none is below -67.2 dBFS.
_DEAD_DBFS = -78.0
_DEAD_DB = 20.0
_PROBE = 32  # samples that must match before a whole chunk is compared
_MAX_CANDIDATES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What was measured of a chunk; arrays hold near and far."""

    flat: NDArray[np.bool_]  # (2, SLICES), whether the samples of a slice do not change
    zero: NDArray[np.bool_]  # (2, SLICES), whether its mean is zero
    peak: Floats  # (2, SLICES), largest magnitude
    offset: Floats  # (2,), mean
    level_dbfs: Floats  # (2,), root mean square without the offset
    clipped: Floats  # (2,), share of samples at full scale
    gain: float | None  # far is this times near, when both are one signal
    period_samples: int | None  # when one block is repeated bit by bit

    @property
    def both_flat(self) -> NDArray[np.bool_]:
        """Whether neither channel changes in a slice, (SLICES,)."""
        # Where neither is alive, it is chance which of them seems to be a little less so.
        either = self.level_dbfs.max() < _DEAD_DBFS
        return np.asarray(self.flat.any(axis=0) if either else self.flat.all(axis=0))

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Whether a slice has samples that no full scale explains, (2, SLICES)."""
        return self.peak > _BEYOND

    @property
    def silent(self) -> bool:
        """Whether a part of it is digital silence."""
        return bool((self.both_flat & self.zero.all(axis=0)).any())

    @property
    def stuck(self) -> bool:
        """Whether one value, or one block, comes again and again."""
        constant = self.both_flat & ~self.zero.all(axis=0)
        return self.period_samples is not None or bool(constant.any())

    @property
    def weak(self) -> NDArray[np.bool_]:
        """Whether a channel hears its converter alone while the other is alive, (2,)."""
        others_dbfs = self.level_dbfs[::-1]
        return np.asarray(self.level_dbfs < np.minimum(_DEAD_DBFS, others_dbfs - _DEAD_DB))

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Whether a channel is weak, or flat in a part of it, (2,)."""
        return np.asarray(self.weak | self.flat.any(axis=1))

    @property
    def alive(self) -> bool:
        """Whether both channels hear something in all of it."""
        return not (self.stuck or self.dead.any())

    @property
    def unusable(self) -> NDArray[np.bool_]:
        """Whether a slice cannot be scored, (SLICES,)."""
        if self.period_samples is not None or self.weak.any():
            return np.ones(SLICES, np.bool_)
        return np.asarray((self.flat | self.beyond).any(axis=0))

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, for people and events."""
        measured = {
            "dbfs": self.level_dbfs,
            "clipped": self.clipped,
            "offset": self.offset,
            "peak": self.peak.max(axis=1),
        }
        return by_channel(measured) | {"gain": self.gain or 0.0}


def by_channel(measured: Mapping[str, Floats]) -> dict[str, float]:
    """Return values (2,) as ``near_NAME`` and ``far_NAME``."""
    return {
        f"{channel}_{name}": float(value)
        for name, values in measured.items()
        for channel, value in zip(CHANNELS, values, strict=True)
    }


def chunk_samples(sample_rate_hz: int) -> int:
    """Samples of a chunk, about a second: a multiple of `SLICES`."""
    return SLICES * max(1, round(_CHUNK_S * sample_rate_hz / SLICES))


def is_unusable(audio: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether samples (..., n) are flat, no numbers, or far beyond full scale, (...)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(_is_flat(audio) | (np.abs(audio).max(axis=-1) > _BEYOND))


def _is_flat(audio: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the samples (..., n) do not change, or are no numbers, (...)."""
    with np.errstate(invalid="ignore"):  # the span of infinite samples is no number
        span = audio.max(axis=-1) - audio.min(axis=-1)
    return np.asarray(~((span > _FLAT_SPAN) & (span < np.inf)))


def measure_chunk(audio: NDArray[np.float32]) -> Chunk:
    """Return what a chunk (2, n) says; n is a multiple of `SLICES`."""
    slices = audio.reshape(2, SLICES, -1)
    flat = _is_flat(slices)
    with np.errstate(over="ignore", invalid="ignore"):
        total = audio.sum()
    if not np.isfinite(total):
        audio = np.where(np.isfinite(audio), audio, np.float32(0))
        slices = audio.reshape(2, SLICES, -1)
    means = slices.mean(axis=-1, dtype=np.float64)
    offset = means.mean(axis=1)
    moving = audio - offset[:, None]
    power = moving @ moving.T / audio.shape[1]
    magnitude = np.abs(slices)
    alive = not flat.any()
    return Chunk(
        flat=flat,
        zero=np.abs(means) <= _FLAT_SPAN,
        peak=magnitude.max(axis=-1).astype(np.float64),
        offset=offset,
        level_dbfs=power_dbfs(np.diagonal(power)),
        clipped=(magnitude >= _CLIPPED).mean(axis=(1, 2)),
        gain=_gain(power) if alive else None,
        period_samples=_period(audio) if alive else None,
    )


def chunks_of(audio: NDArray[np.float32], sample_rate_hz: int) -> list[Chunk]:
    """Measure each second of audio (2, n); the last one ends with it, and may overlap.

    Of less than a second there is one chunk, of less than `SLICES` samples none.
    """
    n_samples = min(chunk_samples(sample_rate_hz), audio.shape[1] // SLICES * SLICES)
    if not n_samples:
        return []
    last = audio.shape[1] - n_samples
    starts = [*range(0, last, n_samples), last]
    return [measure_chunk(audio[:, start : start + n_samples]) for start in starts]


def _gain(power: Floats) -> float | None:
    """Gain from near to far when nothing else differs, by the powers (2, 2) of both."""
    near, far = np.diagonal(power).tolist()
    shared = float(power[0, 1]) ** 2 / max(near * far, np.finfo(np.float64).tiny)
    residual = max(1.0 - shared, 0.0)
    allowed = max(_SAME_ROUNDING**2 / max(min(near, far), _LSB**2), _SAME_NOISE**2)
    if residual > min(allowed, _SAME_RESIDUAL):
        return None
    return float(power[0, 1] / near)


def _period(audio: NDArray[np.float32]) -> int | None:
    """Shortest period, up to half of the chunk (2, n), when all of it repeats exactly."""
    n_samples = audio.shape[1]
    near = audio[0]
    tolerance = _REPEAT_TOLERANCE * float(near.max() - near.min())
    last = n_samples - 1
    first = max(n_samples // 2, _PROBE) - 1
    found = first + np.flatnonzero(np.abs(near[first:last] - near[last]) <= tolerance)
    for back in range(1, min(_PROBE, n_samples // 2)):
        found = found[np.abs(near[found - back] - near[last - back]) <= tolerance]
        if not found.size:
            return None
    for end in found[::-1][:_MAX_CANDIDATES].tolist():
        period = last - end
        if (np.abs(audio[:, period:] - audio[:, :-period]) <= tolerance).all():
            return int(period)
    return None
