"""Normal sound as it is heard on site: the windows that can be used, and what they are like.

Sound that the monitor would not trust is not learned either: no window is used while a
fault of the signal is there, and a recording with many such windows is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.level import level_dbfs
from edge_asd.audio.window import Window, Windower
from edge_asd.errors import DataError
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.explain.normal_spectra import DomainSpectra, measure_spectra
from edge_asd.learn.calibration import WindowPlace
from edge_asd.profile import SignalSettings
from edge_asd.scoring.detector import Detector
from edge_asd.signal.cancelling_gain import CancellingGain
from edge_asd.signal.chunk import Chunk
from edge_asd.signal.faults import faults_of
from edge_asd.signal.quality import SignalQuality
from edge_asd.signal.recorded import beside_others
from edge_asd.signal.reference import SignalReference

__all__ = ["HeardSound", "SiteRecording", "WindowSound", "measure_window"]

_log = logging.getLogger(__name__)

MOST_UNUSABLE = 0.2  # share of the windows
_SURE_WINDOWS = 10  # unusable ones, after which a recording need not be heard to its end
_SHORT_CHUNKS = 60  # seconds; in longer recordings faults begin by themselves
_MOST_REASONS = 5
_DROP_OUTS = "parts of it are silent, or one channel is"
_NO_TIME = datetime.fromtimestamp(0, UTC)  # faults are told as they come, not when


@dataclass(frozen=True, slots=True, eq=False)
class WindowSound:
    """What is kept of a window of normal sound."""

    embeddings: dict[str, NDArray[np.float32]]  # (n_segments, dim) by branch
    spectra: DomainSpectra
    levels_dbfs: NDArray[np.float64]  # (2,)
    reference: SignalReference | None  # None: the window is too short for one
    cancelling: CancellingGain | None  # None: nothing is cancelled, or the window is too short


def measure_window(detector: Detector, audio: NDArray[np.float32]) -> WindowSound:
    """Return what is kept of a window (2, window_samples)."""
    rate_hz = detector.sample_rate_hz
    long_enough = audio.shape[1] >= rate_hz
    return WindowSound(
        detector.embeddings(audio),
        measure_spectra([audio], rate_hz),
        level_dbfs(audio),
        SignalReference.measure([audio], rate_hz) if long_enough else None,
        CancellingGain.measure(audio) if "clean" in detector.views else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class HeardSound:
    """Windows of normal sound, in the order in which they were heard."""

    embeddings: dict[str, NDArray[np.float32]]  # (n, n_segments, dim) by branch
    places: tuple[WindowPlace, ...]
    spectra: DomainSpectra
    levels_dbfs: NDArray[np.float64]  # (n, 2)
    reference: SignalReference | None  # None: a window is too short for one
    cancelling: CancellingGain | None  # None: nothing is cancelled, or a window is too short
    seconds: float  # of sound in the windows
    n_unusable: int  # windows that were not used
    names: tuple[str, ...] = ()  # of the recordings, where they have some

    def __len__(self) -> int:
        return len(self.places)

    def where(self, windows: Sequence[int], sample_rate_hz: int) -> str:
        """Return in words where windows of one recording, by their numbers, were heard."""
        own = [self.places[i] for i in windows]
        start = min(place.start_sample for place in own) / sample_rate_hz
        end = max(place.start_sample + place.n_samples for place in own) / sample_rate_hz
        names = dict.fromkeys(self.names[p.recording] for p in own if p.recording < len(self.names))
        if len(names) > 1:
            return f"the take of {', '.join(names)}"
        return f"{', '.join(names) or 'the sound'} from {start:g} to {end:g} s"

    @classmethod
    def of(
        cls,
        windows: Sequence[WindowSound],
        places: Sequence[WindowPlace],
        *,
        seconds: float,
        n_unusable: int = 0,
        names: Sequence[str] = (),
    ) -> Self:
        """Return windows, of which there are some, and where they were heard."""
        references = [window.reference for window in windows if window.reference]
        gains = [window.cancelling for window in windows if window.cancelling]
        return cls(
            {
                branch: np.stack([window.embeddings[branch] for window in windows])
                for branch in windows[0].embeddings
            },
            tuple(places),
            DomainSpectra.joined([window.spectra for window in windows]),
            np.stack([window.levels_dbfs for window in windows]),
            SignalReference.mean(references) if references else None,
            CancellingGain.mean(gains) if gains else None,
            seconds,
            n_unusable,
            tuple(names),
        )


class SiteRecording:
    """Collects windows from a stream, or from one recording after the other.

    Parameters
    ----------
    detector : its extractors embed the windows; its banks do not matter
    hop_samples : from window to window
    signal : of the profile
    accept_faults : use windows also while the signal clips, has an offset, or is the same
        in both channels; silence and dead channels are never used
    on_fault : is given faults as they begin and end
    takes : of the recordings that follow; those that share sound have the same number, and are
        neighbours. Without one, a recording is a take of its own
    names : of these recordings
    """

    def __init__(
        self,
        detector: Detector,
        *,
        hop_samples: int,
        signal: SignalSettings,
        accept_faults: bool = False,
        on_fault: Callable[[FaultChange], None] = lambda change: None,
        takes: Sequence[int] = (),
        names: Sequence[str] = (),
    ) -> None:
        self._detector = detector
        self._names = names
        self._takes = takes
        self._rate_hz = detector.sample_rate_hz
        self._accept_faults = accept_faults
        self._on_fault = on_fault
        self._faults: dict[str, FaultChange] = {}  # that are there now
        self._details: dict[str, str] = {}  # of the faults that there were, by name
        self._signal = signal
        self._chunks: list[Chunk] = []  # of this recording
        self._quality = self._new_quality()
        self._windower = Windower(detector.window_samples, hop_samples)
        self._recording = self._before = self._end = 0
        self._windows: list[WindowSound] = []
        self._places: list[WindowPlace] = []
        self._seconds = 0.0
        self.n_unusable = 0
        self._skipped = 0  # unusable windows of this recording

    def __len__(self) -> int:
        """How many windows can be used so far."""
        return len(self._places)

    @property
    def faults(self) -> tuple[FaultChange, ...]:
        """What is wrong with the signal now."""
        return tuple(self._faults.values())

    def hear(self, item: Block | Gap) -> None:
        """Take what a source at the detector's rate hands on.

        Raises
        ------
        DataError
            When most of the recording is unusable.
        """
        self._end = item.end_frame
        at = self._moment(item.end_frame)
        if isinstance(item, Block):
            self._quality.on_block(at, item.audio)
        else:
            self._quality.on_gap(at, None)
        for window in self._windower.push(item):
            self._take(window)

    def next_recording(self) -> None:
        """The blocks that follow are of another recording, and begin at 0.

        A short recording is left out where it would have a fault if it went on.
        """
        own = [i for i, place in enumerate(self._places) if place.recording == self._recording]
        lasting = None
        if len(self._chunks) < _SHORT_CHUNKS:
            for fault, figures in islice(faults_of(self._chunks), 1):
                lasting = f"{fault.fault.meaning} ({fault.found.format(**figures)})"
        if self._skipped:
            self._tell(self._recording, lasting or _DROP_OUTS, self._skipped)
        if own and lasting and not self._accept_faults:
            self._leave_out(own, lasting)
        self._skipped = 0
        self._before += self._end
        self._faults, self._chunks = {}, []
        self._quality = self._new_quality()
        self._quality.on_gap(self._moment(0), None)
        self._recording += 1
        self._end = 0
        self._windower.push(Gap(0, 0, "the next recording"))

    def sound(self, least_windows: int) -> HeardSound:
        """Return what was heard, without windows whose channels are exchanged beside the others.

        Raises
        ------
        DataError
            When that is less than `least_windows`, or too much of it was unusable.
        """
        self._leave_out_exchanged()
        if self.n_unusable > MOST_UNUSABLE * (self.n_unusable + len(self)):
            raise self._refusal()
        if len(self) < least_windows:
            raise DataError(
                f"heard {len(self)} windows of usable sound, of "
                f"{self._detector.window_samples / self._rate_hz:g} s each, expected at least "
                f"{least_windows}: record for longer"
            )
        return HeardSound.of(
            self._windows,
            self._places,
            seconds=self._seconds,
            n_unusable=self.n_unusable,
            names=self._names,
        )

    def _leave_out_exchanged(self) -> None:
        if self._accept_faults:
            return
        compared = beside_others([window.reference for window in self._windows])
        found = {i: finding for i, finding in compared if not finding.learned}
        for recording in sorted({self._places[i].recording for i in found}, reverse=True):
            own = [i for i in found if self._places[i].recording == recording]
            self._leave_out(own, found[own[0]].text)

    def _leave_out(self, windows: Sequence[int], why: str) -> None:
        """Drop windows of one recording, by their numbers."""
        self._tell(self._places[windows[0]].recording, why, len(windows))
        kept = [i for i in range(len(self)) if i not in set(windows)]
        self._seconds *= len(kept) / len(self)
        self._windows = [self._windows[i] for i in kept]
        self._places = [self._places[i] for i in kept]
        self.n_unusable += len(windows)

    def _tell(self, recording: int, why: str, n_windows: int) -> None:
        """Say what is not learned of a recording, and remember it."""
        name = self._names[recording] if self._names else "the sound"
        self._details[name] = f"{name}: {why}"
        _log.warning("%s: %s: %d windows are not learned", name, why, n_windows)

    def _moment(self, frame: int) -> Moment:
        """When a frame of this recording comes, in all that is heard."""
        return Moment(_NO_TIME, (self._before + frame) / self._rate_hz, self._detector.machine)

    def _new_quality(self) -> SignalQuality:
        return SignalQuality(
            self._on_change,
            self._signal,
            sample_rate_hz=self._rate_hz,
            reference=None,
            on_chunk=self._chunks.append,
        )

    def _take(self, window: Window) -> None:
        take = self._takes[self._recording] if self._takes else None
        place = WindowPlace(self._recording, window.start_sample, window.audio.shape[1], take)
        start_s = (self._before + place.start_sample) / self._rate_hz
        window_s = place.n_samples / self._rate_hz
        trusted = self._accept_faults or not self._faults
        if not (trusted and self._quality.usable(start_s, start_s + window_s)):
            self.n_unusable += 1
            self._skipped += 1
            if not self._names and self.n_unusable > max(len(self), _SURE_WINDOWS):
                raise self._refusal()
            return
        self._windows.append(measure_window(self._detector, window.audio))
        again = bool(self._places) and place.overlaps(self._places[-1])
        self._seconds += self._windower.hop_samples / self._rate_hz if again else window_s
        self._places.append(place)

    def _on_change(self, change: FaultChange) -> None:
        self._faults.pop(change.key, None)
        if change.active:
            self._faults[change.key] = change
            self._details[change.fault.name] = f"{change.fault.meaning} ({change.detail})"
        self._on_fault(change)

    def _refusal(self) -> DataError:
        n_windows = self.n_unusable + len(self)
        why = (
            "; ".join(islice(self._details.values(), _MOST_REASONS))
            or "parts of it are silent, or one channel is"
        )
        return DataError(
            f"{self.n_unusable} of {n_windows} windows cannot be used: {why}; nothing was learned"
        )
