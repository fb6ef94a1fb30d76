"""How both channels sounded when the machine was enrolled: levels, and levels of bands.

Kept with what is learned on site, so that the monitor can tell later that a microphone
was turned down, moved, or plugged into the other socket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import SILENCE_DBFS
from edge_asd.errors import DataError, StateError

__all__ = ["SignalReference", "band_levels_db"]

Floats = NDArray[np.float64]

CHANNELS = ("near", "far")

_CHUNK_S = 1.0  # as the monitor averages
_FRAME_S = 0.128  # resolves a third of an octave at 100 Hz
_LOWEST_HZ = 100.0
_HIGHEST = 0.45  # of the sample rate; above, converters and resamplers differ
_BANDS_PER_OCTAVE = 3
# The mean difference of the two spectra is 1.4 to 2.9 dB on real machines. Where it is below
# this, the channels sound alike, and the contrast stays too small to say that they are swapped.
_DISTINCT_DB = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class SignalReference:
    """Mean levels of near and far."""

    level_dbfs: dict[str, float]  # near, far; root mean square without a constant offset
    bands_db: Floats  # (2, n_bands), thirds of an octave from 100 Hz up

    @classmethod
    def measure(
        cls, windows: Iterable[NDArray[np.float32]], sample_rate_hz: int
    ) -> SignalReference:
        """Return the mean over windows (2, n) of normal sound, second by second.

        Raises
        ------
        DataError
            When there are none.
        """
        n_chunks = 0
        levels, bands = np.zeros(2), np.zeros((2, n_bands(sample_rate_hz)))
        for window in windows:
            chunk_samples = min(round(_CHUNK_S * sample_rate_hz), window.shape[1])
            for start in range(0, window.shape[1] - chunk_samples + 1, chunk_samples):
                chunk = window[:, start : start + chunk_samples]
                n_chunks += 1
                levels += _moving_dbfs(chunk)
                bands += band_levels_db(chunk, sample_rate_hz)
        if not n_chunks:
            raise DataError("a reference for the signal needs windows of sound, found none")
        near, far = (levels / n_chunks).tolist()
        return cls({"near": near, "far": far}, bands / n_chunks)

    def contrast(self, bands_db: Floats) -> float:
        """How the channels differ in `bands_db` (2, n_bands), as against here.

        1: as enrolled; -1: exactly the other way round; near 0: nothing can be said. The
        gain of each channel has no influence. It is the projection of the difference of
        both spectra on the enrolled one, half the difference between the squared
        distances of both orders to the reference.
        """
        enrolled, found = _difference(self.bands_db), _difference(bands_db)
        least = enrolled.size * _DISTINCT_DB**2
        return float(found @ enrolled) / max(float(enrolled @ enrolled), least)

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON knows it."""
        return {
            "level_dbfs": {name: round(level, 2) for name, level in self.level_dbfs.items()},
            "bands_db": {
                name: np.round(bands, 2).tolist()
                for name, bands in zip(CHANNELS, self.bands_db, strict=True)
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` wrote.

        Raises
        ------
        StateError
            When something is missing or is no finite number.
        """
        try:
            level_dbfs = {name: float(content["level_dbfs"][name]) for name in CHANNELS}
            bands_db = np.array([content["bands_db"][name] for name in CHANNELS], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"the signal reference is damaged ({error!r}); enroll again"
            ) from error
        finite = np.isfinite(bands_db).all() and all(map(math.isfinite, level_dbfs.values()))
        if bands_db.ndim != 2 or not bands_db.size or not finite:
            raise StateError(
                f"the signal reference has bands of shape {bands_db.shape} or values that are not "
                "finite, expected 2 rows of finite levels; enroll again"
            )
        return cls(level_dbfs, bands_db)


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
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10))))


@lru_cache(maxsize=4)
def _frames(sample_rate_hz: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Window of a frame, and the first bin of each band and the one after the last."""
    n_samples = 1 << max(round(math.log2(_FRAME_S * sample_rate_hz)), 3)
    steps = np.arange(n_bands(sample_rate_hz) + 1) - 0.5
    edges_hz = _LOWEST_HZ * 2 ** (steps / _BANDS_PER_OCTAVE)
    edges = np.round(edges_hz * n_samples / sample_rate_hz).astype(np.intp)
    return np.hanning(n_samples).astype(np.float32), edges


def _moving_dbfs(audio: NDArray[np.float32]) -> Floats:
    power = np.var(audio, axis=1, dtype=np.float64)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10))))


def _difference(bands_db: Floats) -> Floats:
    """Near minus far without the gain between them, (n_bands,)."""
    difference = bands_db[0] - bands_db[1]
    return np.asarray(difference - difference.mean())
