"""Faults of the signal: silence, stuck samples, clipping, offsets, dead or wrong channels.

They concern microphones, cables and sound card, never the machine. Sound is measured in
chunks of a second; each fault needs some of them to begin and to end. Whether a window can
be scored is known at once, to a tenth of a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.window import Window, Windower
from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import Latch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.profile import SignalSettings
from edge_asd.signal.chunk import SLICES, Chunk, chunk_samples, is_unusable, measure_chunk
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
    on_chunk : is given what each second says
    """

    def __init__(
        self,
        report: Report,
        settings: SignalSettings,
        *,
        sample_rate_hz: int,
        reference: SignalReference | None,
        faults: Sequence[SignalFault[Chunk]] = CHUNK_FAULTS,
        on_chunk: Callable[[Chunk], None] = lambda chunk: None,
    ) -> None:
        self._report = report
        self._on_chunk = on_chunk
        self._settings = settings
        self._rate_hz = sample_rate_hz
        n_samples = chunk_samples(sample_rate_hz)
        self._chunks = Windower(n_samples, n_samples)
        self._chunk_s = n_samples / sample_rate_hz
        self._slice_samples = n_samples // SLICES
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
        if self._settings.checks:
            start = round(at.stream_time_s * self._rate_hz) - audio.shape[1]
            for window in self._chunks.push(Block(start, audio)):
                self._judge(window)
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        """Forget the chunk that was begun."""
        self._chunks.push(Gap(round(at.stream_time_s * self._rate_hz), 0, "lost"))
        return ()

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Compare with another enrolment."""
        self.compare_with(opened.reference)
        return ()

    def usable(self, start_s: float, end_s: float) -> bool:
        """Whether no part of that stretch of the stream was silent, stuck, or half dead."""
        start, end = round(start_s * self._rate_hz), round(end_s * self._rate_hz)
        begun = self._chunks.unfinished
        whole = begun.audio.shape[1] // self._slice_samples * self._slice_samples
        slices = begun.audio[:, :whole].reshape(2, -1, self._slice_samples)
        unjudged = self._stretches(begun.start_sample, np.any(is_unusable(slices), axis=0))
        return not any(low < end and start < high for low, high in [*self._unusable, *unjudged])

    def _stretches(self, start: int, slices: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Where slices (n_slices,) from sample `start` on are True, in samples."""
        starts = start + np.flatnonzero(slices) * self._slice_samples
        return [(start, start + self._slice_samples) for start in starts.tolist()]

    def _judge(self, window: Window) -> None:
        chunk = measure_chunk(window.audio)
        self._on_chunk(chunk)
        self._mark(window.start_sample, chunk)
        self._update(self._latches, chunk)
        if self._comparison is None or not chunk.alive or chunk.gain is not None:
            return
        bands_db = band_levels_db(window.audio, self._rate_hz)
        self._compared = self._comparison.add(chunk.level_dbfs, bands_db, self._chunk_s)
        if self._compared is not None:
            self._update(self._enrolled_latches, self._compared)

    def _update(self, latches: Iterable[tuple[SignalFault[M], Latch]], measured: M) -> None:
        for fault, latch in latches:
            if latch.update(fault.holds(measured), self._chunk_s):
                self._report(fault.change(measured, active=latch.active))

    def _mark(self, chunk_start: int, chunk: Chunk) -> None:
        """Remember unusable stretches; neighbours become one."""
        for start, end in self._stretches(chunk_start, chunk.unusable):
            if self._unusable and self._unusable[-1][1] == start:
                start = self._unusable.pop()[0]
            self._unusable.append((start, end))
