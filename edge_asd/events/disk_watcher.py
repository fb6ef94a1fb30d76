"""Reports a disk that takes nothing as a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher

__all__ = ["DiskWatcher"]


class DiskWatcher(Watcher):
    """Reports the fault ``disk`` while something cannot be written.

    Parameters
    ----------
    subject : of the fault
    problem : what is wrong now; None: nothing
    """

    def __init__(self, report: Report, subject: str, problem: Callable[[], str | None]) -> None:
        self._fault = FaultLatch(report, "disk", subject=subject)
        self._problem = problem

    def on_tick(self, at: Moment) -> Iterable[Event]:
        """Look."""
        problem = self._problem()
        self._fault.update(problem is not None, problem or "the disk takes everything again")
        return ()
