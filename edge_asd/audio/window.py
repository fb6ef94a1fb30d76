"""Blocks of any size -> overlapping analysis windows with sample-exact positions.

With a window of W samples and a hop of H, window i covers the samples [i*H, i*H + W)
of the stream, whatever the size of the blocks it arrived in; N samples hold
``1 + (N - W) // H`` windows. Nothing is padded: before W samples there is no window. No
window spans a gap: the windows begin anew behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import N_CHANNELS, Block, Gap
from edge_asd.errors import UsageError

__all__ = ["Window", "Windower", "n_windows"]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One analysis window and where it begins."""

    start_sample: int
    audio: NDArray[np.float32]  # (n_channels, window_samples)


class Windower:
    """Cuts a stream into windows.

    Parameters
    ----------
    window_samples : length of a window
    hop_samples : from the start of one window to the start of the next; may exceed the
        window, then the samples between two windows are skipped
    """

    def __init__(self, window_samples: int, hop_samples: int) -> None:
        if window_samples < 1 or hop_samples < 1:
            raise UsageError(
                f"window of {window_samples} and hop of {hop_samples} samples: both must be "
                "at least one sample"
            )
        self.window_samples = window_samples
        self.hop_samples = hop_samples
        self._buffer = np.empty((N_CHANNELS, window_samples), np.float32)
        self._begin(0)

    @property
    def unfinished(self) -> Window:
        """What has come of the next window; its audio is a view."""
        return Window(self._start, self._buffer[:, : self._filled])

    def push(self, item: Block | Gap) -> list[Window]:
        """Windows that a block of the stream completes, in order; none after a gap."""
        if isinstance(item, Gap):
            self._begin(item.end_frame)
            return []
        windows = []
        audio = item.audio
        position = min(self._skip, item.n_frames)
        self._skip -= position
        while position < item.n_frames:
            taken = min(self.window_samples - self._filled, item.n_frames - position)
            self._buffer[:, self._filled : self._filled + taken] = audio[
                :, position : position + taken
            ]
            self._filled += taken
            position += taken
            if self._filled == self.window_samples:
                windows.append(Window(self._start, self._buffer.copy()))
                position += self._advance(item.n_frames - position)
        return windows

    def _begin(self, next_sample: int) -> None:
        self._start = next_sample  # of the window being filled
        self._filled = 0
        self._skip = 0  # samples to drop before it, when the hop exceeds the window

    def _advance(self, available: int) -> int:
        """Move one hop on; return how many of the `available` samples the hop skips."""
        kept = max(self.window_samples - self.hop_samples, 0)
        self._buffer[:, :kept] = self._buffer[:, self.window_samples - kept :]
        self._filled = kept
        self._start += self.hop_samples
        gap = max(self.hop_samples - self.window_samples, 0)
        skipped = min(gap, available)
        self._skip = gap - skipped
        return skipped


def n_windows(n_samples: int, window_samples: int, hop_samples: int) -> int:
    """How many windows `n_samples` hold."""
    return max(0, 1 + (n_samples - window_samples) // hop_samples)
