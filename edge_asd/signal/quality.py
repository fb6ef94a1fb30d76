"""Faults of the signal: silence, stuck samples, clipping, offsets, dead or wrong channels.

They are the monitor's, not the machine's: none of them says that something is broken
but the ears. Sound is measured in chunks of a second; each fault needs some of them to
begin and to end. Whether a window can be scored is known at once, to a tenth of a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.monitor.watcher import Moment, Watcher
from edge_asd.profile import SignalSettings
from edge_asd.signal.chunk import SLICES, Chunk, is_flat, measure_chunk
from edge_asd.signal.faults import SIGNAL_FAULTS
from edge_asd.signal.reference import SignalReference, band_levels_db

__all__ = ["SignalQuality"]

Floats = NDArray[np.float64]

_CHUNK_S = 1.0

# A socket without a microphone hears the converter alone, below -78 dBFS with 16 bits. Real
# channels differ by at most 10.4 dB within any second, and none is below -67.2 dBFS.
_DEAD_DBFS = -78.0
_DEAD_DB = 20.0
# Sound that just fits has two samples in a second up there (1.25e-4), and no real recording any.
_CLIPPED_SHARE = 1e-3
# Real offsets are below 0.002 % of full scale, and below 0.9 % of the sound's own level.
_OFFSET = 0.01
_SMALL_OFFSET = 0.001  # where it is more than the sound itself
# As enrolled is +1, exchanged -1. Averaged like this, real recordings of normal and of broken
# machines stay above +0.19, and exchanged ones, by symmetry, below -0.19 with a mean near -0.8. A
# wholly different machine in place of the enrolled one reached -0.49.
_SWAPPED = -0.5
_NOT_SWAPPED = 0.0
_AVERAGE_S = 60.0  # of levels that are compared with enrolled ones
_KNOWN_S = 20.0  # before that, an average says nothing


class SignalQuality(Watcher):
    """Looks at every sample, and reports what makes scores doubtful or impossible.

    Parameters
    ----------
    report : hears of faults that begin or end
    sample_rate_hz : of the audio
    reference : how the signal was when enrolled; without, neither levels nor the order of
        the channels are checked
    """

    def __init__(
        self,
        report: Report,
        settings: SignalSettings,
        *,
        sample_rate_hz: int,
        reference: SignalReference | None,
    ) -> None:
        self._report = report
        self._settings = settings
        self._rate_hz = sample_rate_hz
        self._slice_samples = max(1, round(_CHUNK_S * sample_rate_hz / SLICES))
        self._chunk = np.zeros((2, SLICES * self._slice_samples), np.float32)
        self._chunk_s = self._chunk.shape[1] / sample_rate_hz
        self._start = 0  # of the chunk, in samples of the stream
        self._filled = 0
        self._deaf: deque[tuple[int, int]] = deque(maxlen=60 * SLICES)  # in samples
        self._watched = {name: fault.latch() for name, fault in SIGNAL_FAULTS.items()}
        self._figures: dict[str, float] = {}
        self._reference = reference
        self._enrolled = _Average()

    def compare_with(self, reference: SignalReference | None) -> None:
        """Take another reference, after something was learned."""
        self._reference = reference
        self._enrolled = _Average()
        for name in ("signal_swapped", "signal_level"):
            if self._watched[name].active and reference is None:
                self._report(SIGNAL_FAULTS[name].change(self._figures, active=False))
                self._watched[name] = SIGNAL_FAULTS[name].latch()

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Measure audio (2, n) that ends at `at`."""
        if not self._settings.checks:
            return ()
        n_samples = audio.shape[1]
        start = round(at.stream_time_s * self._rate_hz) - n_samples
        if start != self._start + self._filled:
            self._begin(start)
        position = 0
        while position < n_samples:
            taken = min(self._chunk.shape[1] - self._filled, n_samples - position)
            end = self._filled + taken
            self._chunk[:, self._filled : end] = audio[:, position : position + taken]
            self._filled, position = end, position + taken
            if self._filled == self._chunk.shape[1]:
                self._judge(measure_chunk(self._chunk))
                self._begin(self._start + self._filled)
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        """Forget the chunk that was begun, unless it begins after the gap."""
        start = round(at.stream_time_s * self._rate_hz)
        if self._start < start:
            self._begin(self._start + self._filled)
        return ()

    def usable(self, start_s: float, end_s: float) -> bool:
        """Whether no part of that stretch of the stream was silent, stuck, or half dead."""
        start, end = round(start_s * self._rate_hz), round(end_s * self._rate_hz)
        stretches = [*self._deaf, *self._flat_slices(self._unjudged())]
        return not any(low < end and start < high for low, high in stretches)

    def _begin(self, start: int) -> None:
        self._start = start
        self._filled = 0

    def _unjudged(self) -> NDArray[np.bool_]:
        n_slices = self._filled // self._slice_samples
        heard = self._chunk[:, : n_slices * self._slice_samples]
        return is_flat(heard.reshape(2, n_slices, self._slice_samples))

    def _flat_slices(self, flat: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Where slices (2, n_slices) of the present chunk are flat, in samples."""
        starts = self._start + np.flatnonzero(flat.any(axis=0)) * self._slice_samples
        return [(start, start + self._slice_samples) for start in starts.tolist()]

    def _judge(self, chunk: Chunk) -> None:
        near_dbfs, far_dbfs = chunk.level_dbfs.tolist()
        self._figures |= {"near_dbfs": near_dbfs, "far_dbfs": far_dbfs}
        flat_near, flat_far = chunk.flat
        # Where neither channel is alive, it is chance which of them seems to be a little less so.
        neither = max(near_dbfs, far_dbfs) < _DEAD_DBFS
        both = flat_near | flat_far if neither else flat_near & flat_far
        silent = both & chunk.zero.all(axis=0)
        repeats = chunk.period_samples is not None
        near_weak, far_weak = _much_weaker(near_dbfs, far_dbfs), _much_weaker(far_dbfs, near_dbfs)
        if repeats or near_weak or far_weak:
            self._mark([(self._start, self._start + self._filled)])
        else:
            self._mark(self._flat_slices(chunk.flat))
        self._update("signal_silent", holds=bool(silent.any()))
        self._update("signal_stuck", holds=repeats or bool((both & ~silent).any()))
        if both.any() or repeats:
            return
        self._update("signal_near_dead", holds=near_weak or bool(flat_near.any()))
        self._update("signal_far_dead", holds=far_weak or bool(flat_far.any()))
        if chunk.flat.any():
            return
        self._judge_samples(chunk)
        if not (near_weak or far_weak):
            self._judge_channels(chunk)

    def _mark(self, stretches: list[tuple[int, int]]) -> None:
        """Remember unusable stretches; neighbours become one."""
        for start, end in stretches:
            if self._deaf and self._deaf[-1][1] == start:
                start = self._deaf.pop()[0]
            self._deaf.append((start, end))

    def _judge_samples(self, chunk: Chunk) -> None:
        names = ("near_clipped", "far_clipped", "near_offset", "far_offset")
        values = (*chunk.clipped.tolist(), *chunk.offset.tolist())
        self._figures |= dict(zip(names, values, strict=True))
        self._update("signal_clipping", holds=bool((chunk.clipped > _CLIPPED_SHARE).any()))
        least = np.minimum(np.maximum(10 ** (chunk.level_dbfs / 20), _SMALL_OFFSET), _OFFSET)
        self._update("signal_dc", holds=bool((np.abs(chunk.offset) > least).any()))

    def _judge_channels(self, chunk: Chunk) -> None:
        self._figures["gain"] = chunk.gain or 0.0
        self._update("signal_identical", holds=chunk.gain is not None)
        if self._reference is not None and chunk.gain is None:
            bands_db = band_levels_db(self._chunk, self._rate_hz)
            self._enrolled.add(chunk.level_dbfs, bands_db, self._chunk_s)
            if self._enrolled.heard_s >= _KNOWN_S:
                self._compare(self._reference)

    def _compare(self, reference: SignalReference) -> None:
        tolerance_db = self._settings.level_tolerance_db
        now = self._enrolled.level_dbfs
        enrolled = np.array([reference.level_dbfs["near"], reference.level_dbfs["far"]])
        contrast = reference.contrast(self._enrolled.bands_db)
        names = ("near_dbfs", "far_dbfs", "near_enrolled_dbfs", "far_enrolled_dbfs", "contrast")
        values = (*now.tolist(), *enrolled.tolist(), contrast)
        self._figures |= dict(zip(names, values, strict=True))
        as_enrolled = bool(np.abs(now - enrolled).max() <= tolerance_db)
        self._update("signal_level", holds=not as_enrolled)
        # Another machine state, or none at all, says nothing about the order of the channels.
        if as_enrolled or np.abs(now[::-1] - enrolled).max() <= tolerance_db:
            limit = _NOT_SWAPPED if self._watched["signal_swapped"].active else _SWAPPED
            self._update("signal_swapped", holds=contrast < limit)

    def _update(self, name: str, *, holds: bool) -> None:
        watched = self._watched[name]
        if watched.update(holds, self._chunk_s):
            self._report(SIGNAL_FAULTS[name].change(self._figures, active=watched.active))


class _Average:
    """Exponential averages of levels and band levels; plain ones until `_AVERAGE_S`."""

    def __init__(self) -> None:
        self.heard_s = 0.0
        self.level_dbfs: Floats = np.zeros(2)
        self.bands_db: Floats = np.zeros(1)

    def add(self, level_dbfs: Floats, bands_db: Floats, duration_s: float) -> None:
        self.heard_s += duration_s
        weight = duration_s / min(self.heard_s, _AVERAGE_S)
        self.level_dbfs = self.level_dbfs + weight * (level_dbfs - self.level_dbfs)
        self.bands_db = self.bands_db + weight * (bands_db - self.bands_db)


def _much_weaker(channel_dbfs: float, other_dbfs: float) -> bool:
    return channel_dbfs < min(_DEAD_DBFS, other_dbfs - _DEAD_DB)
