"""Where the audio of all openings of a card lies in one stream, and what is missing.

Pure: arrivals in; blocks and gaps at the stream's rate out, each beginning where the one
before it ended. Within an opening, what is missing is told by the frames that the audio
callback counted; between openings by the clock.
"""

from __future__ import annotations

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.resample import Resampler
from edge_asd.capture.ring import Arrival

__all__ = ["Placement"]


class Placement:
    """Places arrivals in the stream.

    Parameters
    ----------
    sample_rate_hz : of the stream
    now_s : when it begins, by the clock of the arrivals
    """

    def __init__(self, sample_rate_hz: int, now_s: float) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._resampler: Resampler | None = None  # of this opening, once audio came
        self._gap_reason: str | None = None  # why the next audio follows a gap
        self.end_frame = 0
        self.last_audio_s = now_s

    def place(self, arrival: Arrival, card_rate_hz: int) -> list[Block | Gap]:
        """Return what is known of the stream after a block of the card."""
        items: list[Block | Gap] = []
        if self._resampler is None:
            items += self._gap_before(arrival, card_rate_hz)
            start_frame = items[0].end_frame if items else self.end_frame
            origin = (arrival.block.start_frame, start_frame)
            self._resampler = Resampler(card_rate_hz, self._sample_rate_hz, origin=origin)
        elif arrival.gap is not None:
            items += self._resampler.push(arrival.gap)
        items += self._resampler.push(arrival.block)
        self.end_frame = items[-1].end_frame
        self.last_audio_s = arrival.at_s
        return items

    def not_opened(self, reason: str) -> None:
        """Note why there is no audio, unless it was lost before for another reason."""
        self._gap_reason = self._gap_reason or reason

    def interrupt(self, reason: str) -> list[Block | Gap]:
        """Note why no more comes of this opening; return what the filters still held."""
        self._gap_reason = reason
        tail = self._resampler.finish() if self._resampler else []
        self._resampler = None
        self.end_frame = tail[-1].end_frame if tail else self.end_frame
        return tail

    def _gap_before(self, first: Arrival, card_rate_hz: int) -> list[Gap]:
        """What is missing before the first block of an opening."""
        if self._gap_reason is None:
            return []
        begun_s = first.at_s - first.block.n_frames / card_rate_hz
        lost_frames = round(max(begun_s - self.last_audio_s, 0.0) * self._sample_rate_hz)
        return [Gap(self.end_frame + lost_frames, lost_frames, self._gap_reason)]
