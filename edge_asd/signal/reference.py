"""How both channels sounded when the machine was enrolled: levels, and levels of bands.

Kept with what is learned on site, so that the monitor can tell later that a microphone
was turned down, moved, or plugged into the other socket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge_asd.audio.level import level_dbfs, power_dbfs
from edge_asd.errors import DataError
from edge_asd.state.record import Decibels, StateRecord

__all__ = ["SignalReference", "band_levels_db"]

Floats = NDArray[np.float64]
Bands = Annotated[tuple[Decibels, ...], Field(min_length=1)]

_CHUNK_S = 1.0  # as the monitor averages
_FRAME_S = 0.128  # resolves a third of an octave at 100 Hz
_LOWEST_HZ = 100.0
_HIGHEST = 0.45  # of the sample rate; above, converters and resamplers differ
_BANDS_PER_OCTAVE = 3
# The mean difference of the two spectra is 1.4 to 2.9 dB on real machines. Where it is below
# this, the channels sound alike, and the contrast stays too small to say that they are swapped.
_DISTINCT_DB = 1.25


T = TypeVar("T")


class NearFar(StateRecord, Generic[T]):
    """A value of each channel."""

    near: T
    far: T


class SignalReference(StateRecord):
    """Mean levels of near and far."""

    level_dbfs: NearFar[Decibels]  # root mean square without a constant offset
    bands_db: NearFar[Bands]  # thirds of an octave from 100 Hz up

    @model_validator(mode="after")
    def _channels_have_the_same_bands(self) -> Self:
        if len(self.bands_db.near) != len(self.bands_db.far):
            raise ValueError("near and far have different numbers of bands")
        return self

    @classmethod
    def of(cls, level_dbfs: Floats, bands_db: Floats) -> Self:
        """Return the reference with these levels (2,) and band levels (2, n_bands)."""
        near, far = np.round(bands_db, 2).tolist()
        near_dbfs, far_dbfs = np.round(level_dbfs, 2).tolist()
        return cls(
            level_dbfs=NearFar(near=near_dbfs, far=far_dbfs),
            bands_db=NearFar(near=tuple(near), far=tuple(far)),
        )

    @classmethod
    def measure(cls, windows: Iterable[NDArray[np.float32]], sample_rate_hz: int) -> Self:
        """Return the mean over windows (2, n) of normal sound, second by second.

        Raises
        ------
        DataError
            When there are none.
        """
        levels, bands = [], []
        for window in windows:
            chunk_samples = min(round(_CHUNK_S * sample_rate_hz), window.shape[1])
            for start in range(0, window.shape[1] - chunk_samples + 1, chunk_samples):
                chunk = window[:, start : start + chunk_samples]
                levels.append(level_dbfs(chunk - chunk.mean(axis=1, keepdims=True)))
                bands.append(band_levels_db(chunk, sample_rate_hz))
        if not levels:
            raise DataError("a reference for the signal needs windows of sound, found none")
        return cls.of(np.mean(levels, axis=0), np.mean(bands, axis=0))

    @classmethod
    def mean(cls, references: Sequence[Self]) -> Self:
        """Return the mean of some."""
        return cls.of(
            np.mean([one.levels for one in references], axis=0),
            np.mean([one.bands for one in references], axis=0),
        )

    @classmethod
    def median(cls, references: Sequence[Self]) -> Self:
        """Return the middle of some, which a few that are wrong do not move."""
        return cls.of(
            np.median([one.levels for one in references], axis=0),
            np.median([one.bands for one in references], axis=0),
        )

    @property
    def levels(self) -> Floats:
        """Levels of near and far in dBFS, (2,)."""
        return np.array([self.level_dbfs.near, self.level_dbfs.far])

    @property
    def bands(self) -> Floats:
        """Band levels of near and far in dB, (2, n_bands)."""
        return np.array([self.bands_db.near, self.bands_db.far])

    def contrast(self, bands_db: Floats) -> float:
        """How the channels differ in `bands_db` (2, n_bands), as against here.

        1: as enrolled; -1: exactly the other way round; near 0: nothing can be said. The
        gain of each channel has no influence. It is the projection of the difference of
        both spectra on the enrolled one, half the difference between the squared
        distances of both orders to the reference.
        """
        enrolled, found = _difference(self.bands), _difference(bands_db)
        least = enrolled.size * _DISTINCT_DB**2
        return float(found @ enrolled) / max(float(enrolled @ enrolled), least)


def n_bands(sample_rate_hz: int) -> int:
    """How many bands fit below a sample rate of 1 kHz or more."""
    octaves = math.log2(max(_HIGHEST * sample_rate_hz / _LOWEST_HZ, 1.0))
    return math.floor(_BANDS_PER_OCTAVE * octaves) + 1


def band_levels_db(audio: NDArray[np.float32], sample_rate_hz: int) -> Floats:
    """Mean power density of each band of audio (2, n), in dB, (2, n_bands)."""
    window, edges = _frames(sample_rate_hz)
    n_frames = max(audio.shape[1] // window.size, 1)
    frames = np.zeros((2, n_frames * window.size), np.float32)
    used = min(frames.shape[1], audio.shape[1])
    frames[:, :used] = audio[:, :used]
    frames = frames.reshape(2, n_frames, -1)
    spectrum = np.fft.rfft((frames - frames.mean(axis=-1, keepdims=True)) * window)
    density = (spectrum.real**2 + spectrum.imag**2).mean(axis=1) / np.square(window).sum()
    power = np.add.reduceat(density[:, : edges[-1]], edges[:-1], axis=1) / np.diff(edges)
    return power_dbfs(power)


@lru_cache(maxsize=4)
def _frames(sample_rate_hz: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Window of a frame, and the first bin of each band and the one after the last."""
    n_samples = 1 << max(round(math.log2(_FRAME_S * sample_rate_hz)), 3)
    steps = np.arange(n_bands(sample_rate_hz) + 1) - 0.5
    edges_hz = _LOWEST_HZ * 2 ** (steps / _BANDS_PER_OCTAVE)
    edges = np.round(edges_hz * n_samples / sample_rate_hz).astype(np.intp)
    return np.hanning(n_samples).astype(np.float32), edges


def _difference(bands_db: Floats) -> Floats:
    """Near minus far without the gain between them, (n_bands,)."""
    difference = bands_db[0] - bands_db[1]
    return np.asarray(difference - difference.mean())
