"""How fast frames arrive, against a clock that is passed in.

PortAudio's flags say nothing about a device that answers every read at once, or whose
clock is wrong: both are found by counting frames.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch

__all__ = ["ArrivalCounts", "RateCheck", "RateMeter", "RunawayDetector"]

# A wrong sample rate is at most a factor of a few; a device at its end is thousands of times
# too fast.
_MAX_SPEED = 4.0  # times real time
_BURST_S = 0.5  # what a driver may hand over at once without a pause before it

_MIN_POINTS = 8
_STEP_S = 0.5  # from point to point at first, so that a wrong rate is soon found
_MAX_STEP_S = 8.0
_MAX_POINTS = 80  # 80 * 8 s: jitter of 10 ms over 10 minutes is 17 ppm
_SIGMAS = 5.0
_CONFIRM_S = 3.0  # so long a rate must differ from what was reported, and twice in a row


@dataclass(frozen=True, slots=True)
class ArrivalCounts:
    """What the audio callback counted up to one moment."""

    at_s: float  # when frames came last, or the stream was started
    n_frames: int = 0  # since the stream was started, lost ones not included
    n_gaps: int = 0  # how often frames were lost before they came to the callback
    is_runaway: bool = False  # frames come faster than any card records


class RunawayDetector:
    """Finds frames that come faster than any sound card can record them.

    A pause may be followed by as much audio as it was long: PulseAudio hands over two
    seconds at a time.
    """

    def __init__(self, now_s: float) -> None:
        self._at_s = now_s
        self._allowed_s = _BURST_S  # of audio that may come at once

    def is_runaway(self, now_s: float, length_s: float) -> bool:
        """Whether audio of `length_s` that came just now is too much. Thread: the callback."""
        pause_s, self._at_s = now_s - self._at_s, now_s
        grown_s = min(self._allowed_s + pause_s * _MAX_SPEED, _BURST_S + pause_s)
        self._allowed_s = max(self._allowed_s, grown_s) - length_s
        return self._allowed_s < 0


class RateMeter:
    """How far a card's clock is off, by regression over the last ten minutes.

    Parameters
    ----------
    rate_hz : what the card promised
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        # (when, how far the audio is ahead of the clock), both in seconds
        self._points: deque[tuple[float, float]] = deque(maxlen=_MAX_POINTS)
        self.step_s = _STEP_S  # about, from point to point
        self._origin: tuple[float, int] | None = None
        self.drift_ppm: float | None = None  # positive: the card runs fast
        self.uncertainty_ppm = math.inf

    def restart(self) -> None:
        """Forget the points, not the result: frames were lost."""
        self._points.clear()
        self.step_s = _STEP_S
        self._origin = None

    def add(self, at_s: float, n_frames: int) -> bool:
        """Take how many frames had come at `at_s`; return whether the result is new."""
        if self._origin is None:
            self._origin = at_s, n_frames
        elapsed_s = at_s - self._origin[0]
        if self._points and elapsed_s - self._points[-1][0] < self.step_s:
            return False
        if len(self._points) == _MAX_POINTS and self.step_s < _MAX_STEP_S:
            self._points = deque(list(self._points)[::2], maxlen=_MAX_POINTS)
            self.step_s *= 2
        ahead_s = (n_frames - self._origin[1]) / self.rate_hz - elapsed_s
        self._points.append((elapsed_s, ahead_s))
        if len(self._points) < _MIN_POINTS:
            return False
        self._fit()
        return True

    def _fit(self) -> None:
        when_s, ahead_s = np.array(self._points).T
        (slope, _), covariance = np.polyfit(when_s, ahead_s, deg=1, cov=True)
        self.drift_ppm = float(slope) * 1e6
        self.uncertainty_ppm = _SIGMAS * math.sqrt(covariance[0, 0]) * 1e6


class RateCheck:
    """The fault ``capture_wrong_rate``: the card does not keep its sample rate.

    Parameters
    ----------
    report : called when the fault begins or ends
    max_drift_ppm : up to which a clock is normal
    """

    def __init__(self, report: Report, max_drift_ppm: float) -> None:
        self._fault = FaultLatch(
            report, "capture_wrong_rate", raise_s=_CONFIRM_S, clear_s=_CONFIRM_S
        )
        self._max_ppm = max_drift_ppm
        self.start(1)

    @property
    def active(self) -> bool:
        """Whether the fault is there."""
        return self._fault.active

    @property
    def drift_ppm(self) -> float | None:
        """How much too fast the card's clock runs; None while that may as well be noise."""
        drift_ppm, uncertainty_ppm = self._meter.drift_ppm, self._meter.uncertainty_ppm
        if drift_ppm is None or uncertainty_ppm > max(self._max_ppm, abs(drift_ppm)):
            return None
        return drift_ppm

    def start(self, rate_hz: int) -> None:
        """Measure a newly opened stream of this sample rate."""
        self._meter = RateMeter(rate_hz)
        self._n_gaps = 0

    def add(self, counts: ArrivalCounts) -> None:
        """Take what was counted up to now."""
        if counts.n_gaps != self._n_gaps:
            self._n_gaps = counts.n_gaps
            self._meter.restart()
        if not counts.n_frames or not self._meter.add(counts.at_s, counts.n_frames):
            return
        drift_ppm, uncertainty_ppm = self._meter.drift_ppm or 0.0, self._meter.uncertainty_ppm
        margin_ppm = uncertainty_ppm if self.active else -uncertainty_ppm
        rate_hz = self._meter.rate_hz
        self._fault.update(
            abs(drift_ppm) + margin_ppm > self._max_ppm,
            f"{rate_hz * (1 + drift_ppm * 1e-6):.1f} frames per second instead of {rate_hz} "
            f"({drift_ppm:+.0f} ppm; up to {self._max_ppm:g} is normal)",
            duration_s=min(self._meter.step_s, _CONFIRM_S / 2),
            drift_ppm=round(drift_ppm, 1),
        )
