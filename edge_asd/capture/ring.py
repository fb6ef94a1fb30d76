"""The buffer between the audio callback and the reader: a bounded queue of blocks.

The writer never waits: when the queue is full it drops the new block, counts its frames,
and marks the next block that fits with a gap. It goes on dropping until the reader has
emptied the queue, because one gap between two long stretches costs fewer windows than a
gap after every block.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap

__all__ = ["Arrival", "BlockRing"]

_FULL = "the program was too slow and the ring buffer ran full"


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A block at the card's sample rate."""

    block: Block
    at_s: float  # when its last frame came, by the clock of the callback
    gap: Gap | None = None  # what is missing right before the block


class BlockRing:
    """Single producer, single consumer.

    Parameters
    ----------
    n_blocks : how many blocks it holds
    """

    def __init__(self, n_blocks: int) -> None:
        self._n_blocks = n_blocks
        # SimpleQueue.put neither waits nor runs Python code.
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._position = 0  # frames that were captured or are known to be lost
        self._written_until = 0  # where the last block that fitted ended
        self._gap_reason: str | None = None  # to be told with the next block that fits
        self._dropping = False  # until the reader has caught up
        self.dropped_frames = 0

    @property
    def n_waiting(self) -> int:
        """Blocks that were written but not read."""
        return self._arrivals.qsize()

    def write(
        self,
        frames: NDArray[np.float32],
        gap_reason: str | None = None,
        lost_frames: int = 0,
        *,
        at_s: float = 0.0,
    ) -> None:
        """Copy a block in, or drop it when the ring is full. Never waits.

        Thread: the audio callback.

        Parameters
        ----------
        frames : (n_frames, n_channels)
        gap_reason : why frames are missing right before this block, if they are
        lost_frames : how many, when that is known
        at_s : when the block came
        """
        start_frame = self._position + lost_frames
        self._position = start_frame + len(frames)
        reason = self._gap_reason or gap_reason
        n_waiting = self.n_waiting
        self._dropping = n_waiting == self._n_blocks or (self._dropping and n_waiting > 0)
        if self._dropping:
            self.dropped_frames += len(frames)
            self._gap_reason = reason or _FULL
            return
        gap = Gap(start_frame, start_frame - self._written_until, reason) if reason else None
        self._gap_reason, self._written_until = None, self._position
        self._arrivals.put(Arrival(Block(start_frame, frames.T.copy("C")), at_s, gap))

    def read(self, timeout_s: float) -> Arrival | None:
        """Return the oldest block, or None when none came in time. Thread: the reader."""
        try:
            return self._arrivals.get(timeout=timeout_s)
        except queue.Empty:
            return None
