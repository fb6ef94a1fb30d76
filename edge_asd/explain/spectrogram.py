"""Band spectrogram for pictures and explanations, the same wherever one is made.

Scores never depend on it: the networks have front-ends of their own.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.level import SILENCE_DBFS
from edge_asd.scoring.mel import band_edges_hz

__all__ = ["N_BANDS", "Spectrograph", "spectrograph"]

N_BANDS = 64
_FRAME_S = 0.064  # 1024 samples at 16 kHz; other rates get the nearest power of two
_CELL_FRAMES = 4  # averaged before levels are compared: one frame of noise spreads by 6 dB
_LOWEST_HZ = 30.0  # leaves out a constant offset, also what the window leaks of it


class Spectrograph:
    """Levels of bands that are equally wide in mel; see :func:`spectrograph`.

    Parameters
    ----------
    frame_s : about; a power of two in samples
    octaves : bands that are equally wide in octaves instead

    Attributes
    ----------
    edges_hz : (N_BANDS + 1,) float64, band i lies between the edges i and i + 1
    hop_s : from frame to frame
    cell_s : from cell to cell, of several frames
    """

    def __init__(
        self, sample_rate_hz: int, *, frame_s: float = _FRAME_S, octaves: bool = False
    ) -> None:
        self.n_fft: int = 2 ** round(np.log2(frame_s * sample_rate_hz))
        self._hop = self.n_fft // 2
        self.hop_s = self._hop / sample_rate_hz
        self.cell_s = _CELL_FRAMES * self.hop_s
        limits_hz = (_LOWEST_HZ, sample_rate_hz / 2)
        wanted_hz = (
            np.geomspace(*limits_hz, N_BANDS + 1)
            if octaves
            else band_edges_hz(N_BANDS + 1, *limits_hz, scale="htk")
        )
        bins = _band_bins(wanted_hz, sample_rate_hz, self.n_fft)
        middles = (bins - 0.5) * (sample_rate_hz / self.n_fft)  # between two bins
        self.edges_hz = np.minimum(middles, sample_rate_hz / 2)
        self._first_bins = bins[:-1]
        self._window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32)
        # By Parseval, so that the bands add up to the level of the sound; one side of the
        # spectrum stands for both.
        self._scale = np.float32(2.0 / (self.n_fft * np.square(self._window).sum()))

    def levels(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level of every band and frame in dB of full scale.

        Parameters
        ----------
        audio : (n_channels, n_samples) float32 in [-1, 1]; less than a frame is padded

        Returns
        -------
        (n_channels, N_BANDS, n_frames) float32, none below `SILENCE_DBFS`
        """
        return _decibels(self._power(audio))

    def mean_power(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean square of every band over all frames, (n_channels, N_BANDS)."""
        return np.asarray(self._power(audio).mean(axis=-1))

    def cells(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average the power of every few frames; (..., n_frames) dB to (..., n_cells) dB.

        What is left of the frames after the last whole cell is not used, unless there are
        no others.
        """
        n_frames = levels.shape[-1]
        n_cells = max(n_frames // _CELL_FRAMES, 1)
        used = 10 ** (levels[..., : n_cells * _CELL_FRAMES] / np.float32(10))
        return _decibels(used.reshape(*levels.shape[:-1], n_cells, -1).mean(axis=-1))

    def band_at(self, hz: float) -> float:
        """Position of a frequency among the bands: 0 is the lowest edge, `N_BANDS` the highest."""
        return float(np.interp(hz, self.edges_hz, np.arange(N_BANDS + 1)))

    def _power(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        if audio.shape[-1] < self.n_fft:
            audio = np.pad(audio, ((0, 0), (0, self.n_fft - audio.shape[-1])))
        frames = np.lib.stride_tricks.sliding_window_view(audio, self.n_fft, axis=-1)
        spectra = np.fft.rfft(frames[:, :: self._hop] * self._window, axis=-1)
        power = np.square(spectra.real) + np.square(spectra.imag)  # (n_channels, n_frames, n_bins)
        bands = np.add.reduceat(power, self._first_bins, axis=-1)
        return np.asarray(self._scale * np.moveaxis(bands, -1, 1), dtype=np.float32)


@cache
def spectrograph(sample_rate_hz: int) -> Spectrograph:
    """Return the one spectrograph for sound of this rate."""
    return Spectrograph(sample_rate_hz)


def _band_bins(hz: NDArray[np.float64], sample_rate_hz: int, n_fft: int) -> NDArray[np.intp]:
    """First bin of every band, and the first behind all bins; no band is empty."""
    bins = np.rint(hz * n_fft / sample_rate_hz).astype(np.intp)
    bins[-1] = n_fft // 2 + 1
    return np.asarray(np.maximum(bins, bins[0] + np.arange(N_BANDS + 1)))


def _decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    floor = np.float32(10 ** (SILENCE_DBFS / 10))
    return np.float32(10) * np.log10(np.maximum(power, floor), dtype=np.float32)
