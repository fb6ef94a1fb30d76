"""Blocks and gaps of a stream -> scored and skipped windows, in order.

Files and microphones are scored by this and nothing else. No window that touches unusable
sound is scored, nor one whose samples or score are not finite numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.window import Window, Windower

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = [
    "MAX_LOAD",
    "WIDEST_HOP_WINDOWS",
    "ScoredStream",
    "ScoredWindow",
    "SkippedWindow",
    "WindowDetector",
]

MAX_LOAD = 0.8  # share of the hop for scoring; the rest is for capture, outputs and hiccups
WIDEST_HOP_WINDOWS = 4  # the hop that "auto" may widen to; a fault of a minute is still heard


class WindowDetector(Protocol):
    """What scoring a stream needs of a :class:`edge_asd.scoring.detector.Detector`."""

    @property
    def machine(self) -> str: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def window_samples(self) -> int: ...
    def score(self, audio: NDArray[np.float32]) -> WindowScore: ...


@dataclass(frozen=True, slots=True)
class SkippedWindow:
    """A window of sound that says nothing about the machine."""

    start_sample: int
    end_sample: int
    not_numbers: str = ""  # what of it was infinite, or no number; "": the sound is unusable


@dataclass(frozen=True, slots=True, eq=False)
class ScoredWindow:
    """A window and its score."""

    start_sample: int
    audio: NDArray[np.float32]  # (2, window_samples)
    result: WindowScore
    busy_s: float  # how long scoring took

    @property
    def end_sample(self) -> int:
        return self.start_sample + int(self.audio.shape[1])


class ScoredStream:
    """Scores the windows of one stream.

    Parameters
    ----------
    detector : may be replaced between two blocks by one with windows of the same length
    hop_s : from window to window; may be changed between two blocks
    usable : whether the sound from one second of the stream to another can be scored;
        None: all of it
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        detector: WindowDetector,
        hop_s: float,
        *,
        usable: Callable[[float, float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.detector = detector
        self._windower = Windower(detector.window_samples, self._samples(hop_s))
        self._usable = usable
        self._clock = clock

    @property
    def hop_s(self) -> float:
        """Seconds from the start of one window to the start of the next, in whole samples."""
        return self._windower.hop_samples / self.detector.sample_rate_hz

    @hop_s.setter
    def hop_s(self, hop_s: float) -> None:
        self._windower.hop_samples = self._samples(hop_s)

    def push(self, item: Block | Gap) -> list[ScoredWindow | SkippedWindow]:
        """Score the windows that a block at the detector's rate completes."""
        return [self._scored(window) for window in self._windower.push(item)]

    def _scored(self, window: Window) -> ScoredWindow | SkippedWindow:
        end_sample = window.start_sample + window.audio.shape[1]
        if not np.isfinite(window.audio).all():
            return SkippedWindow(window.start_sample, end_sample, "samples")
        rate_hz = self.detector.sample_rate_hz
        if self._usable and not self._usable(window.start_sample / rate_hz, end_sample / rate_hz):
            return SkippedWindow(window.start_sample, end_sample)
        begun_s = self._clock()
        result = self.detector.score(window.audio)
        if not np.isfinite(result.score):
            return SkippedWindow(window.start_sample, end_sample, "the score")
        return ScoredWindow(
            window.start_sample, window.audio, result, busy_s=self._clock() - begun_s
        )

    def _samples(self, hop_s: float) -> int:
        return max(1, round(hop_s * self.detector.sample_rate_hz))
