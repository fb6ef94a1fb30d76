"""What time it was at a position of the stream.

The sample counter is the time base: it neither jumps nor waits. What is asked of other
clocks is only where the stream lies in time, so that two events are always as far apart
as the audio between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["FixedClock", "LiveClock", "StreamClock"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_STEP_S = 2.0  # of the system's clock; smaller ones are followed slowly
_STEADY_S = 2.0  # how long the clock must agree with itself after a step
_SAME_S = 0.5  # how well it must agree
_BUCKET_S = 30.0  # the earliest arrival of the last one or two of these counts
_KNOT_S = 1.0  # from one change of the rate to the next
_HORIZON_S = 30.0  # in which an error is made good
_MAX_SLEW = 0.005  # seconds per second
_MAX_KNOTS = 900  # older positions are placed by the oldest knot
_LOOKAHEAD_S = 60.0  # questions about a later future are not about the present


class StreamClock(Protocol):
    """Places the stream in time."""

    def observe(self, stream_time_s: float) -> float | None:
        """Note that the stream has come so far; return a step of the system's clock in seconds."""
        ...

    def utc(self, stream_time_s: float) -> datetime:
        """Time of day at a position of the stream."""
        ...


class FixedClock:
    """Of a recording whose beginning is known."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def observe(self, stream_time_s: float) -> float | None:
        """Nothing: a recording has no present."""
        return None

    def utc(self, stream_time_s: float) -> datetime:
        """Time of day at a position of the stream."""
        return self._start + timedelta(seconds=stream_time_s)


@dataclass(frozen=True, slots=True)
class _Knot:
    """From here the time of day follows the stream, a little faster or slower for a while."""

    stream_s: float
    utc_s: float
    slew: float

    def utc_at(self, stream_s: float) -> float:
        """Seconds since 1970 at a position."""
        elapsed_s = stream_s - self.stream_s
        return self.utc_s + elapsed_s + self.slew * min(max(elapsed_s, 0.0), _HORIZON_S)


class LiveClock:
    """Of sound that is heard now.

    Sound arrives late, never early: what arrives with the least delay shows where the
    stream lies, and the mapping moves there so slowly that time never runs backwards. Only
    when the clock of the system is set by more than two seconds, the mapping follows in
    one step.

    Parameters
    ----------
    now : time of day of the system, which may jump
    monotonic : seconds that never jump, of the same system
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._offset_s = self._read()[1]  # from the steady clock to the time of day
        self._stepped: tuple[float, float] | None = None  # since when, to which offset
        self._earliest = [math.inf, math.inf]  # arrival less position, last and present bucket
        self._bucket_s = -math.inf  # beginning of the present one
        self._observed_s = -math.inf
        self._asked_s = -math.inf
        self._knots = [_Knot(0.0, self._monotonic() + self._offset_s, 0.0)]

    def observe(self, stream_time_s: float) -> float | None:
        """Note that the stream has come so far; return a step of the system's clock in seconds.

        Parameters
        ----------
        stream_time_s : of the newest audio that has arrived; what waits to be read counts
        """
        steady_s, offset_s = self._read()
        step_s = self._step(steady_s, offset_s)
        if stream_time_s > self._observed_s:  # else nothing has arrived
            first = self._observed_s == -math.inf
            self._observed_s = stream_time_s
            self._note_arrival(steady_s, steady_s - stream_time_s)
            if first:
                self._knots = [_Knot(stream_time_s, steady_s + self._offset_s, 0.0)]
                self._asked_s = stream_time_s
            self._follow(max(stream_time_s, self._asked_s))
        if step_s is not None:
            self._jump(stream_time_s, step_s)
        return step_s

    def utc(self, stream_time_s: float) -> datetime:
        """Time of day at a position of the stream."""
        if stream_time_s <= self._observed_s + _LOOKAHEAD_S:
            self._asked_s = max(self._asked_s, stream_time_s)
        return _EPOCH + timedelta(seconds=self._utc_s(stream_time_s))

    def _read(self) -> tuple[float, float]:
        steady_s = self._monotonic()
        return steady_s, (self._now() - _EPOCH).total_seconds() - steady_s

    def _utc_s(self, stream_s: float) -> float:
        for knot in reversed(self._knots):
            if knot.stream_s <= stream_s:
                return knot.utc_at(stream_s)
        return self._knots[0].utc_at(stream_s)

    def _step(self, steady_s: float, offset_s: float) -> float | None:
        """How far the clock was set, once it is certain; follow smaller changes."""
        if abs(offset_s - self._offset_s) <= _STEP_S:
            self._offset_s, self._stepped = offset_s, None
            return None
        if self._stepped is None or abs(offset_s - self._stepped[1]) > _SAME_S:
            self._stepped = steady_s, offset_s
        if steady_s - self._stepped[0] < _STEADY_S:
            return None
        step_s = offset_s - self._offset_s
        self._offset_s, self._stepped = offset_s, None
        return step_s

    def _note_arrival(self, steady_s: float, arrival_s: float) -> None:
        if steady_s - self._bucket_s >= _BUCKET_S:
            self._bucket_s = steady_s
            self._earliest = [self._earliest[1], math.inf]
        self._earliest[1] = min(self._earliest[1], arrival_s)

    def _follow(self, stream_s: float) -> None:
        """Aim at where the stream lies now, from `stream_s` on: what was said stays true."""
        last = self._knots[-1]
        if stream_s - last.stream_s < _KNOT_S:
            return
        utc_s = last.utc_at(stream_s)
        error_s = stream_s + min(self._earliest) + self._offset_s - utc_s
        slew = min(max(error_s / _HORIZON_S, -_MAX_SLEW), _MAX_SLEW)
        self._knots.append(_Knot(stream_s, utc_s, slew))
        del self._knots[:-_MAX_KNOTS]

    def _jump(self, stream_s: float, step_s: float) -> None:
        utc_s = self._utc_s(stream_s) + step_s
        kept = [knot for knot in self._knots if knot.stream_s < stream_s]
        self._knots = [*kept, _Knot(stream_s, utc_s, 0.0)]
        self._asked_s = stream_s
