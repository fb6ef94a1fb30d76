"""Blocks and gaps at the source's rate -> blocks and gaps at the bundle's rate.

One soxr stream per stretch of audio without a gap: the result does not depend on how
the audio was cut into blocks. Filters look ahead, so blocks come out a few
milliseconds later than they went in; their positions are exact. All audio of files, pipes and
cards goes this way, at the bundle's rate or another, and comes out with 16 bits
(:mod:`edge_asd.audio.decode`).
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from edge_asd.audio.block import N_CHANNELS, Block, Gap
from edge_asd.audio.decode import rounded_to_16_bits

__all__ = ["Resampler", "resample"]

_QUALITY = "HQ"  # soxr's 20 bit setting: stop band at -120 dB, below 16-bit noise


class Resampler:
    """Converts one stream; N frames of a stretch become ``round(N * target / source)``.

    Parameters
    ----------
    origin : a frame of the source and the frame of the target that it becomes; the first
        block begins there
    """

    def __init__(
        self,
        source_rate_hz: int,
        target_rate_hz: int,
        *,
        n_channels: int = N_CHANNELS,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        self._rates_hz = source_rate_hz, target_rate_hz
        self._n_channels = n_channels
        self._origin = origin
        self._position = origin[1]  # in frames of the target
        self._stream = self._new_stream()

    def push(self, item: Block | Gap) -> list[Block | Gap]:
        """Return what is known of the stream at the target rate after `item`."""
        if isinstance(item, Block):
            return [self._converted(item.audio)]
        tail = self.finish()
        source_rate_hz, target_rate_hz = self._rates_hz
        ratio = target_rate_hz / source_rate_hz
        source_origin, target_origin = self._origin
        end_frame = target_origin + round((item.end_frame - source_origin) * ratio)
        self._position = max(end_frame, self._position)  # each stretch was rounded by itself
        self._stream = self._new_stream()
        return [*tail, Gap(self._position, round(item.lost_frames * ratio), item.reason)]

    def finish(self) -> list[Block | Gap]:
        """Return what the filters still held when the stream ended."""
        if self._stream is None:
            return []
        return [self._converted(np.empty((self._n_channels, 0), np.float32), last=True)]

    def _new_stream(self) -> soxr.ResampleStream | None:
        source_rate_hz, target_rate_hz = self._rates_hz
        if source_rate_hz == target_rate_hz:
            return None
        return soxr.ResampleStream(
            source_rate_hz, target_rate_hz, self._n_channels, dtype="float32", quality=_QUALITY
        )

    def _converted(self, audio: NDArray[np.float32], *, last: bool = False) -> Block:
        if self._stream is not None and (audio.size or last):
            frames = self._stream.resample_chunk(np.ascontiguousarray(audio.T), last=last)
            audio = np.ascontiguousarray(frames.T)
        block = Block(self._position, rounded_to_16_bits(audio))
        self._position = block.end_frame
        return block


def resample(
    audio: NDArray[np.float32], source_rate_hz: int, target_rate_hz: int
) -> NDArray[np.float32]:
    """Return audio (n_channels, n) at another rate, exactly as a stream of it would be."""
    resampler = Resampler(source_rate_hz, target_rate_hz, n_channels=audio.shape[0])
    items = [*resampler.push(Block(0, audio)), *resampler.finish()]
    return np.concatenate([item.audio for item in items if isinstance(item, Block)], axis=1)
