"""A fixed number of blocks between the audio callback and the one who reads them.

Everything is allocated when the ring is made. Whoever writes never waits: when all
slots are taken the new block is dropped and counted, and the frames that were lost show
as a gap in the position of the next block. Blocks are then dropped until the reader has
caught up, because one gap between two long stretches costs fewer windows than a gap
after every block.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.source import Block

__all__ = ["Arrival", "BlockRing"]

_FULL = "the program was too slow and the ring buffer ran full"


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A block, and when its last frame came from the card."""

    block: Block
    at_s: float  # of the clock that the callback reads


class BlockRing:
    """Single producer, single consumer.

    Parameters
    ----------
    n_blocks : how many blocks it holds
    block_frames : the most frames that one block has
    """

    def __init__(self, n_blocks: int, block_frames: int, n_channels: int = 2) -> None:
        self._audio = np.zeros((n_blocks, n_channels, block_frames), np.float32)
        self._n_frames = [0] * n_blocks
        self._starts = [0] * n_blocks
        self._gaps: list[str | None] = [None] * n_blocks
        self._at_s = [0.0] * n_blocks
        # SimpleQueue.put neither waits nor runs Python code; the slots bound its length.
        self._ready: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._written = 0  # blocks; only the producer changes it
        self._read = 0  # blocks; only the consumer changes it
        self._position = 0  # frames that were captured or are known to be lost
        self._gap: str | None = None  # to be told with the next block that fits
        self._full = False  # until the reader has caught up
        self.dropped_frames = 0

    @property
    def n_waiting(self) -> int:
        """Blocks that were written but not read."""
        return self._written - self._read

    def write(
        self,
        frames: NDArray[np.float32],
        gap: str | None = None,
        lost: int = 0,
        *,
        at_s: float = 0.0,
    ) -> None:
        """Copy a block in, or drop it when the ring is full. Never waits.

        Thread: the audio callback.

        Parameters
        ----------
        frames : (n_frames, n_channels)
        gap : why frames are missing right before this block, if they are
        lost : how many, when that is known
        at_s : when the block came
        """
        n_frames = len(frames)
        self._position += lost
        self._gap = self._gap or gap
        n_waiting = self.n_waiting
        self._full = n_waiting == len(self._starts) or (self._full and n_waiting > 0)
        if self._full or n_frames > self._audio.shape[2]:
            self.dropped_frames += n_frames
            self._position += n_frames
            self._gap = self._gap or _FULL
            return
        slot = self._written % len(self._starts)
        self._audio[slot, :, :n_frames] = frames.T
        self._n_frames[slot] = n_frames
        self._starts[slot] = self._position
        self._gaps[slot] = self._gap
        self._at_s[slot] = at_s
        self._position += n_frames
        self._gap = None
        self._written += 1
        self._ready.put(slot)

    def read(self, timeout_s: float) -> Arrival | None:
        """Return the oldest block, or None when none came in time. Thread: the reader."""
        try:
            slot = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None
        audio = self._audio[slot, :, : self._n_frames[slot]].copy()
        arrival = Arrival(Block(self._starts[slot], audio, self._gaps[slot]), self._at_s[slot])
        self._read += 1
        return arrival
