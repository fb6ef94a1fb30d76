"""What a source hands on, in stream order: sound, or the news that sound is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHANNELS", "N_CHANNELS", "Block", "Gap", "Source"]

CHANNELS = ("near", "far")  # microphone at the machine, microphone away from it
N_CHANNELS = len(CHANNELS)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive frames; one without frames says that nothing arrived for a moment."""

    start_frame: int  # since the start of the stream, lost frames included
    audio: NDArray[np.float32]  # (n_channels, n_frames)

    @property
    def n_frames(self) -> int:
        return int(self.audio.shape[1])

    @property
    def end_frame(self) -> int:
        return self.start_frame + self.n_frames


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames are missing; the next block starts at `end_frame`."""

    end_frame: int
    lost_frames: int  # 0 when nobody knows how many
    reason: str


class Source(Protocol):
    """A stream of two-channel audio at one sample rate.

    The source alone decides what is a gap: a block begins where the block or gap before it
    ended.
    """

    @property
    def name(self) -> str:
        """What events call it."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """Frames per second of what it hands on."""
        ...

    @property
    def source_rate_hz(self) -> int | None:
        """Frames per second of the card, file or pipe; None while a card is not open."""
        ...

    @property
    def state(self) -> str:
        """How well it hears: ``healthy``, ``degraded``, ``lost``, ..."""
        ...

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that arrived but were not read yet."""
        ...

    @property
    def drift_ppm(self) -> float | None:
        """How much too fast its clock runs, once that is known."""
        ...

    @property
    def reopened(self) -> int:
        """How often it was opened after the first time."""
        ...

    def read(self) -> Block | Gap | None:
        """Return what comes next, after a fraction of a second at most; None at the end."""
        ...

    def close(self) -> None:
        """Let go of card or file; may be called twice."""
        ...
