"""The faults of a recording, as the monitor would find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from edge_asd.signal.chunk import Chunk, chunk_samples, measure_chunk
from edge_asd.signal.faults import CHUNK_FAULTS, SignalFault

__all__ = ["chunks_of", "faults_of"]

_GOES_ON = 600  # chunks, about ten minutes: no fault takes longer to begin


def chunks_of(audio: NDArray[np.float32], sample_rate_hz: int) -> list[Chunk]:
    """Measure each whole second of audio (2, n)."""
    n_samples = chunk_samples(sample_rate_hz)
    return [
        measure_chunk(audio[:, start : start + n_samples])
        for start in range(0, audio.shape[1] - n_samples + 1, n_samples)
    ]


def faults_of(
    chunks: Sequence[Chunk], faults: Sequence[SignalFault[Chunk]] = CHUNK_FAULTS
) -> Iterator[tuple[SignalFault[Chunk], Mapping[str, float]]]:
    """Return the faults that the monitor would raise if the sound went on like this.

    The recording is too short for most of them, so that it is repeated for as long as the
    slowest may take. With each fault come the figures of the chunk that would raise it.
    """
    for fault in faults:
        latch = fault.latch()
        found = [(fault.holds(chunk), chunk) for chunk in chunks]
        for holds, chunk in islice(cycle(found), _GOES_ON):
            if latch.update(holds, 1.0):
                yield fault, chunk.figures
                break
