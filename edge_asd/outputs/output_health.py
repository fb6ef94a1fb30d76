"""Which faults one output has; time is passed in."""

from __future__ import annotations

from edge_asd.events.fault import Report, ended, noticed
from edge_asd.events.latch import FaultLatch

__all__ = ["OutputHealth"]

_SILENT = "it does not answer"


class OutputHealth:
    """Reports each fault of an output once when it begins and once when it ends.

    Parameters
    ----------
    name : of the output
    report : called from any thread, one at a time
    patience_s : an output that has taken nothing for so long, though something was to be
        delivered all the time, cannot be reached
    """

    def __init__(self, name: str, report: Report, *, patience_s: float) -> None:
        self._name = name
        self._report = report
        self._patience_s = patience_s
        self._trying_since_s: float | None = None
        self._reason = _SILENT
        self._outage = FaultLatch(report, "output", subject=name)
        self._late = 0  # durable events delivered since the outage began
        self._lost = 0  # events given up

    def trying(self, now_s: float) -> None:
        """Note that the output is given an event."""
        if self._trying_since_s is None:
            self._trying_since_s = now_s

    def failed(self, reason: str) -> None:
        """Note why it did not take the event."""
        self._reason = reason

    def refused(self) -> None:
        """Note that it answered, though it did not want the event."""
        self._trying_since_s = None

    def check(self, now_s: float) -> None:
        """Report an output that was tried in vain for too long."""
        since_s = self._trying_since_s
        if since_s is not None and now_s - since_s >= self._patience_s:
            self._outage.update(True, self._reason)

    def delivered(self, *, durable: bool, waiting: int) -> None:
        """Note that it took an event; faults end when no event is `waiting` any more."""
        self._trying_since_s = None
        self._reason = _SILENT
        self._late += durable and self._outage.active
        if waiting:
            return
        again = f"{self._name} takes events again"
        detail = f"{again}; {self._late} were delivered late"
        if self._outage.update(False, detail, delivered_late=self._late):
            self._late = 0
        if self._lost:
            detail = f"{again}; {self._lost} were given up"
            self._report(ended("events_lost", detail, subject=self._name, lost=self._lost))
            self._lost = 0

    def lost(self, n_events: int, reason: str) -> None:
        """Report that events were given up."""
        if n_events:
            self._lost += n_events
            detail = f"{self._name} never gets {self._lost} of the events: {reason}"
            self._report(noticed("events_lost", detail, subject=self._name, lost=self._lost))
