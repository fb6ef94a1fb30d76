"""A stream of sound -> clips that share no sample, none across a gap, each with its take.

A take is a continuous minute. When training or calibration holds takes out, the rest must
not sound like them more than tomorrow's sound will: the clip before and the one after are near
twins, and with takes of one clip there would be one of them for every clip that is held out. One
take for all of an hour would leave nothing to hold out. Minutes touch at their ends alone, and an
hour has sixty of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.window import Windower
from edge_asd.signal.recorded import findings_in

__all__ = ["ClipCutter", "CutClip", "why_unusable"]

_TAKE_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class CutClip:
    """A clip that was cut."""

    audio: NDArray[np.float32]  # (2, clip_samples)
    take: int  # counted from 0


class ClipCutter:
    """Cuts a stream, or one recording after the other.

    Parameters
    ----------
    clip_samples : length of a clip
    sample_rate_hz : of the stream
    """

    def __init__(self, clip_samples: int, sample_rate_hz: int) -> None:
        self._windower = Windower(clip_samples, clip_samples)
        self._take_samples = round(_TAKE_S * sample_rate_hz)
        self._take = -1
        self._take_start: int | None = None  # sample of the stream; None: a new one begins

    def push(self, item: Block | Gap) -> list[CutClip]:
        """Return the clips that a block completes, in order; none after a gap."""
        if isinstance(item, Gap):
            self._take_start = None
        clips = []
        for window in self._windower.push(item):
            start = window.start_sample
            if self._take_start is None or start - self._take_start >= self._take_samples:
                self._take, self._take_start = self._take + 1, start
            clips.append(CutClip(window.audio, self._take))
        return clips

    def next_recording(self) -> None:
        """The blocks that follow are of another recording, and begin at 0."""
        self.push(Gap(0, 0, "the next recording"))


def why_unusable(
    audio: NDArray[np.float32], sample_rate_hz: int, *, accept_faults: bool
) -> tuple[str, str] | None:
    """Return what is wrong with a clip (2, n), in few words and in more, or None.

    That is what the monitor would report if all of its sound were like this clip.

    Parameters
    ----------
    accept_faults : take clips that clip, have an offset, or the same signal in both channels;
        silence and dead channels are never taken
    """
    for finding in findings_in(audio, sample_rate_hz):
        if finding.unusable or not accept_faults:
            return finding.meaning, f"{finding.found}: {finding.advice}"
    return None
