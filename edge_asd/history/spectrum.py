"""Long-term spectra: the mean of months in a quarter of an hour, an hour, a day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.level import power_dbfs
from edge_asd.explain.spectrogram import N_BANDS, Spectrograph

__all__ = ["Spectrum", "log_spectrograph"]

_FRAME_S = 0.256  # the lowest of 64 bands in eight octaves is 3 Hz wide
_STORED = np.dtype("<f4")


@cache
def log_spectrograph(sample_rate_hz: int) -> Spectrograph:
    """Return what measures 64 bands from 30 Hz on that are equally wide in octaves."""
    return Spectrograph(sample_rate_hz, frame_s=_FRAME_S, octaves=True)


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Mean levels of both channels over a span of time."""

    start: int  # seconds since 1970, UTC
    sample_rate_hz: int
    windows: int  # that it is the mean of
    near_dbfs: NDArray[np.float64]  # (N_BANDS,)
    far_dbfs: NDArray[np.float64]

    def plus(self, band_energy: NDArray[np.float64], windows: int) -> Spectrum:
        """Return it with more windows in it; `band_energy` (2, N_BANDS) is their sum."""
        known = 10 ** (np.stack([self.near_dbfs, self.far_dbfs]) / 10)
        total = self.windows + windows
        near, far = power_dbfs((self.windows * known + band_energy) / total)
        return Spectrum(self.start, self.sample_rate_hz, total, near, far)

    @classmethod
    def nothing(cls, start: int, sample_rate_hz: int) -> Spectrum:
        """Return that of no window."""
        return cls(start, sample_rate_hz, 0, np.zeros(N_BANDS), np.zeros(N_BANDS))

    @classmethod
    def from_row(cls, start: int, rate_hz: int, windows: int, near: bytes, far: bytes) -> Spectrum:
        """Return what a row of a table holds.

        Raises
        ------
        ValueError
            When it is no spectrum.
        """
        if not isinstance(near, bytes) or not isinstance(far, bytes):
            raise ValueError("a spectrum is no bytes")
        channels = [np.frombuffer(band, _STORED).astype(np.float64) for band in (near, far)]
        if any(levels.shape != (N_BANDS,) or not np.isfinite(levels).all() for levels in channels):
            raise ValueError(f"a spectrum does not have {N_BANDS} levels")
        return cls(start, rate_hz, windows, *channels)

    def to_row(self) -> tuple[int, int, int, bytes, bytes]:
        """Return the row of a table."""
        near, far = (band.astype(_STORED).tobytes() for band in (self.near_dbfs, self.far_dbfs))
        return self.start, self.sample_rate_hz, self.windows, near, far
