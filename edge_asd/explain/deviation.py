"""Where in time and frequency a window deviates from normal levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import CHANNELS
from edge_asd.explain.spectrogram import Spectrograph, spectrograph

__all__ = ["Deviation", "NormalLevels", "Region", "find_deviation", "summed_most"]

# In spreads of the normal level. A cell speaks for a deviation when it is further out than
# _EXPECTED and against one when it is not; the bounds keep a few loud cells, or the deep
# notches that noise has in decibels, from deciding alone.
_EXPECTED = 2.0
_LOUDEST = 6.0
_QUIETEST = -1.0
_TRUSTED = 0.9  # of the highest frequency; soxr passes 0.91 of it
_SMALLEST_SPREAD_DB = 1.0
_LEAST_SUM = 20.0  # noise like the normal one reaches 3, half of real normal windows less than 50


@dataclass(frozen=True, slots=True, eq=False)
class NormalLevels:
    """The levels that normal windows have, each (2, N_BANDS) float32 dB."""

    mean_db: NDArray[np.float32]
    spread_db: NDArray[np.float32]
    n_windows: int  # that they were taken from
    nearest: bool = True  # the windows nearest to the one in question; False: all there are


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of time and of frequency of one channel."""

    channel: str  # "near" or "far"
    onset_s: float  # within the window
    end_s: float
    low_hz: float
    high_hz: float
    departure_db: float  # mean level there, above (or below, negative) the normal one


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """A window, the normal levels that it was compared with, and where it deviates."""

    levels_db: NDArray[np.float32]  # (2 or 3, N_BANDS, n_frames): near, far, and `view`
    sample_rate_hz: int
    normal: NormalLevels | None = None
    region: Region | None = None
    view: str | None = None  # computed of both channels, and shown beside them

    def beside(self, view: str, audio: NDArray[np.float32]) -> Deviation:
        """Return the same with a view of the window, (1, n_samples), to show, too."""
        levels = np.concatenate([self.levels_db, self.instrument.levels(audio)])
        return replace(self, levels_db=levels, view=view)

    @property
    def instrument(self) -> Spectrograph:
        """What measured the levels."""
        return spectrograph(self.sample_rate_hz)


def find_deviation(
    audio: NDArray[np.float32],
    sample_rate_hz: int,
    normal: NormalLevels | None,
    channels: Sequence[str] = CHANNELS,
) -> Deviation:
    """Return where a window (2, n_samples) deviates most; nowhere, when nothing is known.

    The region is the rectangle of cells that deviates most in sum, of any of the `channels`
    and either sign.
    """
    instrument, duration_s = spectrograph(sample_rate_hz), audio.shape[-1] / sample_rate_hz
    levels = instrument.levels(audio)
    if normal is None:
        return Deviation(levels, sample_rate_hz)
    excess_db = instrument.cells(levels) - normal.mean_db[..., None]  # (2, N_BANDS, n_cells)
    n_cells = excess_db.shape[-1]
    # The filter of a resampler begins here: a card at 48 kHz has less there than a recording at
    # the bundle's rate, whatever the machine does.
    n_trusted = int(np.sum(instrument.edges_hz[1:] <= _TRUSTED * sample_rate_hz / 2))
    spreads = excess_db / np.maximum(normal.spread_db, _SMALLEST_SPREAD_DB)[..., None]
    trusted = spreads[:, :n_trusted].astype(np.float32)
    found = [
        (*summed_most(np.clip(sign * trusted[i], _QUIETEST, _LOUDEST) - _EXPECTED), i)
        for i in map(CHANNELS.index, channels)
        for sign in (1, -1)
    ]
    most, bands, cells, i = max(found, key=lambda one: one[0])
    region = None
    if most >= _LEAST_SUM:
        region = Region(
            channel=CHANNELS[i],
            onset_s=cells.start * instrument.cell_s,
            # What is left after the last cell deviates like it, as far as anyone knows.
            end_s=cells.stop * instrument.cell_s if cells.stop < n_cells else duration_s,
            low_hz=float(instrument.edges_hz[bands.start]),
            high_hz=float(instrument.edges_hz[bands.stop]),
            departure_db=float(excess_db[i, bands, cells].mean()),
        )
    return Deviation(levels, sample_rate_hz, normal, region)


def summed_most(values: NDArray[np.float32]) -> tuple[float, slice, slice]:
    """Return the largest sum of a rectangle of (n_rows, n_columns), and its rows and columns.

    For each first row, the sums down to every last row form sequences whose best stretch
    is the largest rise of a running sum (Kadane; Bentley, CACM 27(9), 1984).
    """
    best = (-np.inf, slice(0, 1), slice(0, 1))
    running = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    for top in range(len(values)):
        sums = np.cumsum(running[top:], axis=0)  # (rows from top on, n_columns + 1)
        before = np.minimum.accumulate(sums[:, :-1], axis=1)
        rises = sums[:, 1:] - before
        row, last = np.unravel_index(rises.argmax(), rises.shape)
        if rises[row, last] > best[0]:
            first = int(sums[row, : last + 1].argmin())
            best = (
                float(rises[row, last]),
                slice(top, top + int(row) + 1),
                slice(first, int(last) + 1),
            )
    return best
