"""Which faults one output has; pure, with the time passed in."""

from __future__ import annotations

from edge_asd.events.fault import FaultChange, ended, noticed

__all__ = ["OutputHealth"]


class OutputHealth:
    """Turns what happens to an output into faults that begin once and end once.

    Parameters
    ----------
    name : of the output
    patience_s : an output that has taken nothing for so long, though something was to be
        delivered all the time, cannot be reached
    """

    def __init__(self, name: str, *, patience_s: float) -> None:
        self._name = name
        self._patience_s = patience_s
        self._trying_since_s: float | None = None
        self._reason = "it does not answer"
        self._unreachable = False
        self._late = 0  # durable events delivered since it was unreachable
        self._lost = 0  # events given up
        self._disk_problem: str | None = None

    def trying(self, now_s: float) -> None:
        """Know that the output is given an event."""
        if self._trying_since_s is None:
            self._trying_since_s = now_s

    def failed(self, reason: str) -> None:
        """Know that it did not take the event."""
        self._reason = reason

    def overdue(self, now_s: float) -> list[FaultChange]:
        """Return the fault of an output that was tried in vain for too long."""
        since_s = self._trying_since_s
        if self._unreachable or since_s is None or now_s - since_s < self._patience_s:
            return []
        self._unreachable = True
        return [noticed("output", self._reason, subject=self._name)]

    def delivered(self, *, durable: bool, waiting: int) -> list[FaultChange]:
        """Know that it took an event; return what ends when nothing `waiting` is left."""
        self._trying_since_s = None
        self._reason = "it does not answer"
        self._late += durable and self._unreachable
        changes: list[FaultChange] = []
        if self._unreachable and not waiting:
            detail = f"{self._name} takes events again; {self._late} were delivered late"
            changes.append(ended("output", detail, subject=self._name, delivered_late=self._late))
            self._unreachable, self._late = False, 0
        if self._lost and not waiting:
            detail = f"{self._name} takes events again; {self._lost} were given up"
            changes.append(ended("events_lost", detail, subject=self._name, lost=self._lost))
            self._lost = 0
        return changes

    def lost(self, n_events: int, reason: str) -> list[FaultChange]:
        """Know that events were given up."""
        if not n_events:
            return []
        self._lost += n_events
        detail = f"{self._name} never gets {self._lost} of the events: {reason}"
        return [noticed("events_lost", detail, subject=self._name, lost=self._lost)]

    def refused(self) -> None:
        """Know that it answered, though it did not want the event."""
        self._trying_since_s = None

    def journal(self, problem: str | None) -> list[FaultChange]:
        """Know why waiting events are not on disk, or that they are (None)."""
        before, self._disk_problem = self._disk_problem, problem
        if problem is not None and before is None:
            detail = f"{problem}; events for {self._name} wait in memory and are lost by a restart"
            return [noticed("disk", detail, subject=self._name)]
        if problem is None and before is not None:
            detail = f"all events that wait for {self._name} are on disk"
            return [ended("disk", detail, subject=self._name)]
        return []
