"""Whether a sound card can be trusted, told from counted frames and a clock.

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

from edge_asd.capture.arrival_rate import ArrivalCounts, RateCheck
from edge_asd.events.fault import FaultChange, Report, ended, noticed
from edge_asd.events.latch import FaultLatch
from edge_asd.profile import CaptureSettings

__all__ = ["CaptureHealth", "CaptureState"]

CaptureState = Literal["starting", "healthy", "degraded", "lost", "recovering", "hung"]

# PulseAudio needs 1.8 s for its first audio and then delivers every 2 s.
_SILENT_S = 5.0
_LOSSES = 3
_LOSSES_WITHIN_S = 60.0

_RUNAWAY = "more audio than time passes; the driver or the ALSA configuration is broken"
_STOPPED = "the sound card stopped; check its plug"


class CaptureHealth:
    """State of one capture.

    Parameters
    ----------
    report : called with faults that begin, change or end
    now_s : of a clock that never runs backwards, as every other time here
    """

    def __init__(self, settings: CaptureSettings, report: Report, *, now_s: float) -> None:
        self._settings = settings
        self._report = report
        self._is_open = self._is_hung = False
        self._failed_at_s: float | None = None  # since it was opened, or audio flowed last
        self._failures = 0  # in a row
        self._flows_since_s: float | None = None
        self._outage: _Outage | None = None
        self._losses = _Losses(report)
        self.rate = RateCheck(report, settings.max_drift_ppm)
        self.retry_at_s = now_s  # when to open the card again

    @property
    def state(self) -> CaptureState:
        """The state, in one word."""
        if self._is_hung:
            return "hung"
        if self._outage is not None:
            return "recovering" if self._is_open and self._failed_at_s is None else "lost"
        if self._flows_since_s is None:
            return "starting"
        return "degraded" if self._losses.fault.active or self.rate.active else "healthy"

    @property
    def reason(self) -> str | None:
        """What is the matter, until audio is trusted again."""
        return self._outage.reason if self._outage else None

    def opened(self, rate_hz: int) -> None:
        """Note that the card was opened at this sample rate."""
        self._is_open = True
        self._failed_at_s = self._flows_since_s = None
        self.rate.start(rate_hz)

    def not_opened(self, now_s: float, reason: str, *, missing: bool) -> None:
        """Note that the card could not be opened."""
        self._failed_at_s = None
        self._fail(now_s, "capture_missing" if missing else "capture_lost", reason)
        self.retry_at_s = now_s + self._pause_s

    def closed(self, now_s: float) -> None:
        """Note that the card was closed."""
        self._is_open = False
        self.retry_at_s = now_s + self._pause_s

    def card_added(self, now_s: float) -> None:
        """Note that a card was plugged in: cut a long pause short."""
        self.retry_at_s = min(self.retry_at_s, now_s + self._settings.retry_min_s)

    def hung(self, now_s: float, reason: str) -> None:
        """Note that the driver does not return."""
        self._is_hung = True
        self._fail(now_s, "capture_lost", reason)
        self._report(noticed("capture_hung", f"{reason}; the monitor ends, to be started again"))

    def observe(self, now_s: float, counts: ArrivalCounts, *, active: bool) -> bool:
        """Look at what came; call it often while the card is open.

        Parameters
        ----------
        active : whether PortAudio believes that the stream runs

        Returns
        -------
        bool
            Whether the stream failed for good and has to be closed.
        """
        silent_s = now_s - counts.at_s
        timeout_s = self._settings.stall_timeout_s
        timed_out = silent_s > timeout_s
        if counts.is_runaway:
            self._fail(counts.at_s, "capture_runaway", _RUNAWAY)
        elif not active:
            self._fail(counts.at_s, "capture_lost", _STOPPED)
        elif silent_s > min(_SILENT_S, timeout_s):
            waited_s = timeout_s if timed_out else _SILENT_S
            reason = f"the sound card delivered nothing for {waited_s:g} s; check its cable"
            self._fail(counts.at_s, "capture_stalled", reason)
        else:
            self.rate.add(counts)
        return counts.is_runaway or not active or timed_out

    def delivered(self, at_s: float, lost_s: float | None = None, reason: str = "") -> None:
        """Note that audio that came at `at_s` was handed on.

        Parameters
        ----------
        lost_s : of audio that is missing before it; 0 if nobody knows, None if none is
        reason : why it is missing
        """
        outage = self._outage
        if self._failed_at_s is not None and at_s <= self._failed_at_s:
            return  # it had waited while the program was busy
        if lost_s is not None and outage is not None:
            outage.lost_s += lost_s
        elif lost_s is not None:
            self._losses.add(at_s, lost_s, reason)
        self._failed_at_s = None
        if self._flows_since_s is None:
            self._flows_since_s = at_s
        flows_s = at_s - self._flows_since_s
        if outage is not None and flows_s >= self._pause_s:
            self._outage = None
            self._report(outage.ended(self._flows_since_s))
        if flows_s >= self._settings.healthy_after_s:
            self._failures = 0
        self._losses.end_if_over(at_s)

    @property
    def _pause_s(self) -> float:
        settings = self._settings
        doublings = min(max(self._failures - 1, 0), 30)  # 2**30 exceeds every retry_max_s
        return float(min(settings.retry_min_s * 2**doublings, settings.retry_max_s))

    def _fail(self, since_s: float, fault: str, reason: str) -> None:
        """Begin an outage, or report what is the matter with it now."""
        if self._failed_at_s is None:
            self._failures += 1
            self._failed_at_s = since_s
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
    """The fault ``capture_overflow``: audio is lost while the stream goes on."""

    def __init__(self, report: Report) -> None:
        self.fault = FaultLatch(report, "capture_overflow")
        self._forget()

    def add(self, at_s: float, lost_s: float, reason: str) -> None:
        self._at_s.append(at_s)
        self._count += 1
        self._lost_s += lost_s
        if len(self._at_s) == _LOSSES and at_s - self._at_s[0] <= _LOSSES_WITHIN_S:
            self.fault.update(True, f"audio was lost {_LOSSES} times within a minute: {reason}")

    def end_if_over(self, at_s: float) -> None:
        """End the fault after a minute without losses."""
        if self._at_s and at_s - self._at_s[-1] > _LOSSES_WITHIN_S:
            places = f"{self._lost_s:.1f} s were lost in {self._count} places"
            self.fault.update(
                False, f"no loss for a minute; {places}", lost_s=self._lost_s, losses=self._count
            )
            self._forget()

    def _forget(self) -> None:
        self._at_s: deque[float] = deque(maxlen=_LOSSES)
        self._count = 0
        self._lost_s = 0.0
