"""Where the stream is: its samples as seconds and as times of day."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_asd.audio.block import Block, Gap
from edge_asd.events.moment import Moment
from edge_asd.monitor.stream_clock import StreamClock

__all__ = ["Timeline"]


class Timeline:
    """Counts the samples of one stream, and places them in time.

    Parameters
    ----------
    clock : time of day of a position in the stream
    machine : that is listened to
    sample_rate_hz : of the stream
    live : sound that happens now: its time goes on while the sound card is silent
    now_s : seconds that never run backwards
    """

    def __init__(
        self,
        clock: StreamClock,
        machine: str,
        sample_rate_hz: int,
        *,
        live: bool,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.sample_rate_hz = sample_rate_hz
        self.live = live
        self.now_s = now_s
        self.position = 0  # samples so far, gaps included
        self.heard_at_s: float | None = None  # by `now_s`, when audio came last
        self._machine = machine
        self._moved_at_s = now_s()  # when `position` changed last

    @property
    def seconds(self) -> float:
        """Length of the stream so far."""
        return self.position / self.sample_rate_hz

    def advance(self, item: Block | Gap, backlog_s: float) -> float | None:
        """Move on to the end of `item`; return a step of the system's clock in seconds.

        Parameters
        ----------
        backlog_s : of audio that has arrived after it
        """
        if item.end_frame != self.position:
            self.position, self._moved_at_s = item.end_frame, self.now_s()
        if isinstance(item, Block) and item.n_frames:
            self.heard_at_s = self._moved_at_s
        if self.heard_at_s is None:
            return None
        return self.clock.observe(self.seconds + backlog_s)  # also set in an outage

    def at(self, sample: int) -> Moment:
        """Return the moment of a sample."""
        return self._moment(sample / self.sample_rate_hz)

    def now(self) -> Moment:
        """Return where the stream is now."""
        since_s = self.now_s() - self._moved_at_s if self.live else 0.0
        return self._moment(self.seconds + since_s)

    def _moment(self, stream_time_s: float) -> Moment:
        return Moment(self.clock.utc(stream_time_s), stream_time_s, self._machine)
