"""Whether a sound card can be trusted, told from frames and a clock.

Pure: time is passed in. PortAudio's flags are not asked, because a hung driver looks
alive, a lost one raises nothing, and an overflow is often not reported.

    starting     opened for the first time, no audio yet
    healthy      audio comes as it should
    degraded     audio comes, but is lost again and again, or at a wrong rate
    lost         nothing comes, or there is no card
    recovering   opened again, or audio comes again; not trusted yet
    hung         only a new process can use the card

A card that comes back is trusted after as long as it was left alone, and each failure
doubles that. So a card that opens well and dies after five seconds, again and again, is
one fault and not hundreds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from edge_asd.capture.arrival_rate import Heard, RateMeter
from edge_asd.events.fault import FaultChange, Report, ended, noticed
from edge_asd.profile import CaptureSettings

__all__ = ["CaptureHealth", "CaptureState"]

CaptureState = Literal["starting", "healthy", "degraded", "lost", "recovering", "hung"]

# PulseAudio needs 1.8 s for its first audio and then delivers every 2 s.
_SILENT_S = 5.0
_LOSSES = 3
_LOSSES_WITHIN_S = 60.0
_RATE_CONFIRM_S = 3.0

_RUNAWAY = "audio comes faster than a sound card can record, as at the end of a file"
_STOPPED = "the sound card stopped; check its plug"


class CaptureHealth:
    """State of one capture.

    Parameters
    ----------
    report : hears of faults that begin, change or end
    now_s : of a clock that never runs backwards, as every other time here
    """

    def __init__(self, settings: CaptureSettings, report: Report, *, now_s: float) -> None:
        self._settings = settings
        self._report = report
        self._is_open = self._is_hung = False
        self._opened_before = False
        self._failed = False  # since it was opened, or since audio flowed last
        self._failed_at_s = now_s
        self._failures = 0  # in a row
        self._flows_since_s: float | None = None
        self._outage: _Outage | None = None
        self._losses = _Losses(report)
        self._rate = _Rate(report, settings.max_drift_ppm)
        self.must_close = False  # the stream is of no use any more
        self.retry_at_s = now_s  # when to open the card again
        self.reopened = 0  # how often the card was opened after the first time

    @property
    def state(self) -> CaptureState:
        """The state, in one word."""
        if self._is_hung:
            return "hung"
        if self._outage is not None:
            return "recovering" if self._is_open and not self._failed else "lost"
        if self._flows_since_s is None:
            return "starting"
        return "degraded" if self._losses.active or self._rate.active else "healthy"

    @property
    def reason(self) -> str | None:
        """What is the matter, until audio is trusted again."""
        return self._outage.reason if self._outage else None

    @property
    def drift_ppm(self) -> float | None:
        """How much too fast the card's clock runs, once that is known."""
        return self._rate.drift_ppm

    def opened(self, rate_hz: int) -> None:
        """Hear that the card was opened at this sample rate."""
        self.reopened += self._opened_before
        self._opened_before = self._is_open = True
        self._failed = self.must_close = False
        self._flows_since_s = None
        self._rate.start(rate_hz)

    def not_opened(self, now_s: float, reason: str, *, missing: bool) -> None:
        """Hear that the card could not be opened."""
        self._failed = False
        self._fail(now_s, "capture_missing" if missing else "capture_lost", reason)
        self.retry_at_s = now_s + self._pause_s

    def closed(self, now_s: float) -> None:
        """Hear that the card was closed."""
        self._is_open = False
        self.retry_at_s = now_s + self._pause_s

    def hurry(self, now_s: float) -> None:
        """Hear that a card was plugged in: a long pause is of no use."""
        self.retry_at_s = min(self.retry_at_s, now_s + self._settings.retry_min_s)

    def hung(self, now_s: float, reason: str) -> None:
        """Hear that the driver does not return."""
        self._is_hung = True
        self._fail(now_s, "capture_lost", reason)
        self._report(noticed("capture_hung", f"{reason}; the monitor ends, to be started again"))

    def observe(self, now_s: float, heard: Heard, *, active: bool) -> None:
        """Look at what came; call it often while the card is open."""
        silent_s = now_s - heard.at_s
        timeout_s = self._settings.stall_timeout_s
        self.must_close = heard.flood or not active or silent_s > timeout_s
        if heard.flood:
            self._fail(heard.at_s, "capture_runaway", _RUNAWAY)
        elif not active:
            self._fail(heard.at_s, "capture_lost", _STOPPED)
        elif silent_s > min(_SILENT_S, timeout_s):
            waited_s = timeout_s if self.must_close else _SILENT_S
            reason = f"the sound card delivered nothing for {waited_s:g} s; check its cable"
            self._fail(heard.at_s, "capture_stalled", reason)
        else:
            self._rate.add(heard)

    def delivered(self, at_s: float, lost_s: float | None = None, reason: str = "") -> None:
        """Hear that audio that came at `at_s` was handed on.

        Parameters
        ----------
        lost_s : of audio that is missing before it; 0 if nobody knows, None if none is
        """
        outage = self._outage
        if self._failed and at_s <= self._failed_at_s:
            return  # it had waited while the program was busy
        if lost_s is not None and outage is not None:
            outage.lost_s += lost_s
        elif lost_s is not None:
            self._losses.add(at_s, lost_s, reason)
        self._failed = False
        if self._flows_since_s is None:
            self._flows_since_s = at_s
        flows_s = at_s - self._flows_since_s
        if outage is not None and flows_s >= self._pause_s:
            self._outage = None
            self._report(outage.ended(self._flows_since_s))
        if flows_s >= self._settings.healthy_after_s:
            self._failures = 0
        self._losses.calm(at_s)

    @property
    def _pause_s(self) -> float:
        settings = self._settings
        doublings = min(max(self._failures - 1, 0), 30)  # 2**30 exceeds every retry_max_s
        return float(min(settings.retry_min_s * 2**doublings, settings.retry_max_s))

    def _fail(self, since_s: float, fault: str, reason: str) -> None:
        """Begin an outage, or say what is the matter with it now."""
        if not self._failed:
            self._failures += 1
            self._failed, self._failed_at_s = True, since_s
        self._flows_since_s = None
        if self._outage is None:
            self._outage = _Outage(fault, since_s)
        if self._outage.reason != reason:
            self._outage.reason = reason
            self._report(noticed(self._outage.fault, reason))


@dataclass(slots=True)
class _Outage:
    """The time without audio that can be trusted; several failures may be one."""

    fault: str
    since_s: float
    lost_s: float = 0.0
    reason: str = ""

    def ended(self, until_s: float) -> FaultChange:
        outage_s = until_s - self.since_s
        detail = f"audio again after {outage_s:.1f} s; {self.lost_s:.1f} s of it were lost"
        return ended(self.fault, detail, outage_s=round(outage_s, 3), lost_s=round(self.lost_s, 3))


class _Losses:
    """Audio that is lost while the stream goes on."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._at_s: deque[float] = deque(maxlen=_LOSSES)
        self._count = 0
        self._lost_s = 0.0
        self.active = False

    def add(self, at_s: float, lost_s: float, reason: str) -> None:
        self._at_s.append(at_s)
        self._count += 1
        self._lost_s += lost_s
        often = len(self._at_s) == _LOSSES and at_s - self._at_s[0] <= _LOSSES_WITHIN_S
        if often and not self.active:
            self.active = True
            detail = f"audio was lost {_LOSSES} times within a minute: {reason}"
            self._report(noticed("capture_overflow", detail))

    def calm(self, at_s: float) -> None:
        """End it after a minute without losses."""
        if not self._at_s or at_s - self._at_s[-1] <= _LOSSES_WITHIN_S:
            return
        if self.active:
            detail = f"no loss for a minute; {self._lost_s:.1f} s were lost in {self._count} places"
            self._report(ended("capture_overflow", detail, lost_s=self._lost_s, losses=self._count))
        self._at_s.clear()
        self._count, self._lost_s, self.active = 0, 0.0, False


class _Rate:
    """Whether the card keeps its sample rate."""

    def __init__(self, report: Report, max_drift_ppm: float) -> None:
        self._report = report
        self._max_ppm = max_drift_ppm
        self._meter = RateMeter(1)
        self._rate_hz = 1
        self._n_gaps = 0
        self._differs_since_s: float | None = None  # the verdict from `active`
        self.active = False

    @property
    def drift_ppm(self) -> float | None:
        """None while it may as well be noise."""
        drift_ppm, uncertainty_ppm = self._meter.drift_ppm, self._meter.uncertainty_ppm
        if drift_ppm is None or uncertainty_ppm > max(self._max_ppm, abs(drift_ppm)):
            return None
        return drift_ppm

    def start(self, rate_hz: int) -> None:
        self._meter = RateMeter(rate_hz)
        self._rate_hz = rate_hz
        self._n_gaps = 0
        self._differs_since_s = None

    def add(self, heard: Heard) -> None:
        if heard.n_gaps != self._n_gaps:
            self._n_gaps = heard.n_gaps
            self._meter.restart()
        if not heard.n_frames or not self._meter.add(heard.at_s, heard.n_frames):
            return
        drift_ppm, uncertainty_ppm = self._meter.drift_ppm or 0.0, self._meter.uncertainty_ppm
        margin_ppm = -uncertainty_ppm if not self.active else uncertainty_ppm
        wrong = abs(drift_ppm) + margin_ppm > self._max_ppm
        if wrong == self.active:
            self._differs_since_s = None
            return
        if self._differs_since_s is None:
            self._differs_since_s = heard.at_s
        if heard.at_s - self._differs_since_s >= _RATE_CONFIRM_S:
            self.active, self._differs_since_s = wrong, None
            self._report(self._change(drift_ppm))

    def _change(self, drift_ppm: float) -> FaultChange:
        actual_hz = self._rate_hz * (1 + drift_ppm * 1e-6)
        found = (
            f"{actual_hz:.1f} frames per second instead of {self._rate_hz} "
            f"({drift_ppm:+.0f} ppm; up to {self._max_ppm:g} is normal)"
        )
        change = noticed if self.active else ended
        return change("capture_wrong_rate", found, drift_ppm=round(drift_ppm, 1))
