"""The fault ``clock``: the clock of the system is not set, so that all times are doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher

__all__ = ["ClockWatcher"]

_EVERY_S = 600.0  # a clock is set once


class ClockWatcher(Watcher):
    """Looks at the clock every ten minutes of sound.

    Parameters
    ----------
    synchronised : whether the clock is kept by a time server; None where that is unknown
    """

    def __init__(self, report: Report, synchronised: Callable[[], bool | None]) -> None:
        self._fault = FaultLatch(report, "clock")
        self._synchronised = synchronised
        self._due_s = 0.0

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Look, when it is time."""
        if at.stream_time_s >= self._due_s:
            self._due_s = at.stream_time_s + _EVERY_S
            match self._synchronised():
                case False:
                    detail = "times of events may be wrong: connect it to a time server"
                    self._fault.update(True, f"the system's clock is not synchronised; {detail}")
                case True:
                    self._fault.update(False, "the system's clock is synchronised")
        return ()
