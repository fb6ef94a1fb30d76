"""A recording or a pipe as the monitor listens to it: at the bundle's rate, always there."""

from __future__ import annotations

from collections.abc import Iterator

from edge_asd.audio.resample import resampled
from edge_asd.audio.source import AudioSource, Block

__all__ = ["Played"]


class Played:
    """A source that is read as it comes, without opening it again when it ends.

    Parameters
    ----------
    sample_rate_hz : of the blocks that come out
    """

    state = "healthy"
    drift_ppm = None
    reopened = 0

    def __init__(self, source: AudioSource, sample_rate_hz: int) -> None:
        self._source = source
        self._sample_rate_hz = sample_rate_hz
        self.name = source.name
        self.source_rate_hz: int | None = source.sample_rate_hz

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that arrived but were not read yet."""
        return self._source.backlog_s

    def blocks(self) -> Iterator[Block]:
        """Blocks until the source ends."""
        return resampled(self._source.blocks(), self._source.sample_rate_hz, self._sample_rate_hz)

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()
