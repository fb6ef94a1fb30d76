"""A stream of blocks -> scored windows, skipped windows and gaps, in order.

Files and microphones are scored by this and nothing else. No window spans a gap, and no
window that touches unusable sound is scored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.source import Block
from edge_asd.audio.window import Window, Windower

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = [
    "Gap",
    "ScoredStream",
    "ScoredWindow",
    "SkippedWindow",
    "Step",
    "WindowDetector",
    "gap_before",
]


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
class Gap:
    """Missing audio; what follows begins at `at_sample`."""

    at_sample: int
    lost_samples: int  # 0 when nobody knows how many
    reason: str


@dataclass(frozen=True, slots=True)
class SkippedWindow:
    """A window of sound that says nothing about the machine."""

    start_sample: int
    end_sample: int


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


Step = Gap | SkippedWindow | ScoredWindow


class ScoredStream:
    """Scores the windows of one stream.

    Parameters
    ----------
    detector : may be replaced between two steps by one with windows of the same length
    hop_samples : from window to window; may be changed between two steps
    usable : whether the sound from one second of the stream to another can be scored;
        None: all of it
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        detector: WindowDetector,
        hop_samples: int,
        *,
        usable: Callable[[float, float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.detector = detector
        self._windower = Windower(detector.window_samples, hop_samples)
        self._usable = usable
        self._clock = clock

    @property
    def hop_samples(self) -> int:
        """From the start of one window to the start of the next."""
        return self._windower.hop_samples

    @hop_samples.setter
    def hop_samples(self, hop_samples: int) -> None:
        self._windower.hop_samples = hop_samples

    def steps(self, blocks: Iterable[Block]) -> Iterator[Step]:
        """What happens in the stream, at the detector's rate, in order."""
        expected = 0
        for block in blocks:
            if gap := gap_before(block, expected):
                self._windower.reset(block.start_frame)
                yield gap
            expected = block.end_frame
            for window in self._windower.push(block.audio):
                yield self._step(window)

    def _step(self, window: Window) -> ScoredWindow | SkippedWindow:
        end_sample = window.start_sample + window.audio.shape[1]
        rate_hz = self.detector.sample_rate_hz
        if self._usable and not self._usable(window.start_sample / rate_hz, end_sample / rate_hz):
            return SkippedWindow(window.start_sample, end_sample)
        begun_s = self._clock()
        result = self.detector.score(window.audio)
        return ScoredWindow(
            window.start_sample, window.audio, result, busy_s=self._clock() - begun_s
        )


def gap_before(block: Block, expected: int) -> Gap | None:
    """Return what is missing between frame `expected` and the block, if anything is."""
    if block.gap is None and block.start_frame == expected:
        return None
    lost = max(block.start_frame - expected, 0)
    return Gap(block.start_frame, lost, block.gap or "frames are missing")
