"""Faults of the signal: silence, stuck samples, clipping, offsets, dead or wrong channels.

They concern microphones, cables and sound card, never the machine. Sound is measured in
chunks of a second; each fault needs some of them to begin and to end. Whether a window can
be scored is known at once, to a tenth of a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import Latch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.profile import SignalSettings
from edge_asd.signal.chunk import SLICES, Chunk, chunk_samples, is_flat, measure_chunk
from edge_asd.signal.comparison import EnrolledComparison, RunningComparison
from edge_asd.signal.faults import CHUNK_FAULTS, ENROLLED_FAULTS, M, SignalFault
from edge_asd.signal.reference import SignalReference, band_levels_db

if TYPE_CHECKING:
    from edge_asd.learn.opened_machine import OpenedMachine

__all__ = ["SignalQuality"]


class SignalQuality(Watcher):
    """Looks at every sample, and reports what makes scores doubtful or impossible.

    Parameters
    ----------
    report : hears of faults that begin or end
    sample_rate_hz : of the audio
    reference : how the signal was when enrolled; without, neither levels nor the order of
        the channels are checked
    faults : that are looked for in each second
    """

    def __init__(
        self,
        report: Report,
        settings: SignalSettings,
        *,
        sample_rate_hz: int,
        reference: SignalReference | None,
        faults: Sequence[SignalFault[Chunk]] = CHUNK_FAULTS,
    ) -> None:
        self._report = report
        self._settings = settings
        self._rate_hz = sample_rate_hz
        self._chunk = np.zeros((2, chunk_samples(sample_rate_hz)), np.float32)
        self._slice_samples = self._chunk.shape[1] // SLICES
        self._chunk_s = self._chunk.shape[1] / sample_rate_hz
        self._start = 0  # of the chunk, in samples of the stream
        self._filled = 0
        self._unusable: deque[tuple[int, int]] = deque(maxlen=60 * SLICES)  # in samples
        self._latches = [(fault, fault.latch()) for fault in faults]
        self._enrolled_latches = [(fault, fault.latch()) for fault in ENROLLED_FAULTS]
        self._compared: EnrolledComparison | None = None
        self._comparison: RunningComparison | None = None
        self.compare_with(reference)

    def compare_with(self, reference: SignalReference | None) -> None:
        """Take another reference, after something was learned."""
        self._comparison = None
        if reference is not None:
            self._comparison = RunningComparison(reference, self._settings.level_tolerance_db)
            return
        for fault, latch in self._enrolled_latches:
            if latch.active and self._compared is not None:
                self._report(fault.change(self._compared, active=False))
        self._enrolled_latches = [(fault, fault.latch()) for fault in ENROLLED_FAULTS]

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

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Compare with another enrolment."""
        self.compare_with(opened.reference)
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
        n_slices = self._filled // self._slice_samples
        unjudged = self._chunk.reshape(2, SLICES, -1)[:, :n_slices]
        stretches = [*self._unusable, *self._stretches(np.any(is_flat(unjudged), axis=0))]
        return not any(low < end and start < high for low, high in stretches)

    def _begin(self, start: int) -> None:
        self._start = start
        self._filled = 0

    def _stretches(self, slices: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Where slices (n_slices,) of the present chunk are True, in samples."""
        starts = self._start + np.flatnonzero(slices) * self._slice_samples
        return [(start, start + self._slice_samples) for start in starts.tolist()]

    def _judge(self, chunk: Chunk) -> None:
        self._mark(chunk)
        self._update(self._latches, chunk)
        if self._comparison is None or not chunk.alive or chunk.gain is not None:
            return
        bands_db = band_levels_db(self._chunk, self._rate_hz)
        self._compared = self._comparison.add(chunk.level_dbfs, bands_db, self._chunk_s)
        if self._compared is not None:
            self._update(self._enrolled_latches, self._compared)

    def _update(self, latches: Iterable[tuple[SignalFault[M], Latch]], measured: M) -> None:
        for fault, latch in latches:
            if latch.update(fault.holds(measured), self._chunk_s):
                self._report(fault.change(measured, active=latch.active))

    def _mark(self, chunk: Chunk) -> None:
        """Remember unusable stretches; neighbours become one."""
        for start, end in self._stretches(chunk.unusable):
            if self._unusable and self._unusable[-1][1] == start:
                start = self._unusable.pop()[0]
            self._unusable.append((start, end))
