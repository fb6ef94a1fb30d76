"""Blocks at the source's rate -> blocks at the bundle's rate, sample by sample.

One soxr stream per stretch of audio without a gap: the result does not depend on how
the audio was cut into blocks. Filters look ahead, so blocks come out a few
milliseconds later than they went in; their positions are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from edge_asd.audio.source import Block

__all__ = ["resampled"]

_QUALITY = "HQ"  # soxr's 20 bit setting: stop band at -120 dB, below 16-bit noise


def resampled(
    blocks: Iterable[Block], source_rate_hz: int, target_rate_hz: int, *, n_channels: int = 2
) -> Iterator[Block]:
    """Return the same stream at another sample rate; gaps stay gaps.

    N frames of a stretch become ``round(N * target / source)`` frames.
    """
    if source_rate_hz == target_rate_hz:
        yield from blocks
        return
    ratio = target_rate_hz / source_rate_hz
    stream = _Stretch(source_rate_hz, target_rate_hz, n_channels)
    expected = 0
    written = 0
    for block in blocks:
        gap = block.gap
        if gap is not None or block.start_frame != expected:
            yield Block(written, stream.finish())
            stream = _Stretch(source_rate_hz, target_rate_hz, n_channels)
            written = round(block.start_frame * ratio)
            gap = gap or "frames are missing"
        audio = stream.push(block.audio)
        yield Block(written, audio, gap)
        expected = block.end_frame
        written += audio.shape[1]
    yield Block(written, stream.finish())


class _Stretch:
    """A soxr stream for audio (n_channels, n_frames)."""

    def __init__(self, source_rate_hz: int, target_rate_hz: int, n_channels: int) -> None:
        self._nothing = np.empty((n_channels, 0), np.float32)
        self._stream = soxr.ResampleStream(
            source_rate_hz, target_rate_hz, n_channels, dtype="float32", quality=_QUALITY
        )

    def push(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._process(audio, last=False) if audio.size else self._nothing

    def finish(self) -> NDArray[np.float32]:
        return self._process(self._nothing, last=True)

    def _process(self, audio: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        frames = self._stream.resample_chunk(np.ascontiguousarray(audio.T), last=last)
        return np.ascontiguousarray(frames.T)
