"""How fast frames arrive, against a clock that is passed in.

PortAudio's flags say nothing about a device that answers every read at once, or whose
clock is wrong: both are found by counting frames.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

__all__ = ["MAX_SPEED", "FloodGauge", "Heard", "RateMeter"]

# A wrong sample rate is at most a factor of a few; a device at its end is thousands of times
# too fast.
MAX_SPEED = 4.0

_BURST_S = 0.5  # what a driver may hand over at once without a pause before it
_MIN_POINTS = 8
_STEP_S = 0.5  # from point to point at first, so that a wrong rate is soon found
_MAX_STEP_S = 8.0
_MAX_POINTS = 80  # 80 * 8 s: jitter of 10 ms over 10 minutes is 17 ppm
_SIGMAS = 5.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the audio callback counted, at one moment."""

    at_s: float  # when frames came last, or the stream was started
    n_frames: int = 0  # since the stream was started, lost ones not included
    n_gaps: int = 0  # how often frames were lost before they came to the callback
    flood: bool = False  # frames come faster than any card records


class FloodGauge:
    """Finds frames that come faster than any sound card can record them.

    A pause may be followed by as much audio as it was long: PulseAudio hands over two
    seconds at a time.
    """

    def __init__(self, now_s: float, max_speed: float = MAX_SPEED) -> None:
        self._max_speed = max_speed
        self._at_s = now_s
        self._credit_s = _BURST_S

    def is_flood(self, now_s: float, length_s: float) -> bool:
        """Whether audio of `length_s` that came just now is too much. Thread: the callback."""
        if math.isinf(self._max_speed):
            return False
        pause_s, self._at_s = now_s - self._at_s, now_s
        grown_s = min(self._credit_s + pause_s * self._max_speed, _BURST_S + pause_s)
        self._credit_s = max(self._credit_s, grown_s) - length_s
        return self._credit_s < 0


class RateMeter:
    """How far a card's clock is off, by regression over the last ten minutes.

    Parameters
    ----------
    rate_hz : what the card promised
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        # (when, how far the audio is ahead of the clock), both in seconds
        self._points: deque[tuple[float, float]] = deque(maxlen=_MAX_POINTS)
        self._step_s = _STEP_S
        self._origin: tuple[float, int] | None = None
        self.drift_ppm: float | None = None  # positive: the card runs fast
        self.uncertainty_ppm = math.inf

    def restart(self) -> None:
        """Forget the points, not the result: frames were lost."""
        self._points.clear()
        self._step_s = _STEP_S
        self._origin = None

    def add(self, at_s: float, n_frames: int) -> bool:
        """Take how many frames had come at `at_s`; return whether the result is new."""
        if self._origin is None:
            self._origin = at_s, n_frames
        elapsed_s = at_s - self._origin[0]
        if self._points and elapsed_s - self._points[-1][0] < self._step_s:
            return False
        if len(self._points) == _MAX_POINTS and self._step_s < _MAX_STEP_S:
            self._points = deque(list(self._points)[::2], maxlen=_MAX_POINTS)
            self._step_s *= 2
        ahead_s = (n_frames - self._origin[1]) / self._rate_hz - elapsed_s
        self._points.append((elapsed_s, ahead_s))
        if len(self._points) < _MIN_POINTS:
            return False
        self._fit()
        return True

    def _fit(self) -> None:
        when_s, ahead_s = np.array(self._points).T
        when_s = when_s - when_s.mean()
        ahead_s = ahead_s - ahead_s.mean()
        power = float(when_s @ when_s)
        slope = float(when_s @ ahead_s) / power
        residual_s = ahead_s - slope * when_s
        variance = float(residual_s @ residual_s) / (len(when_s) - 2)
        self.drift_ppm = slope * 1e6
        self.uncertainty_ppm = _SIGMAS * math.sqrt(variance / power) * 1e6
