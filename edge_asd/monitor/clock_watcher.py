"""The fault ``clock``: the clock of the system is not set, so that all times are doubtful."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.system_clock import clock_synchronised

__all__ = ["ClockWatcher"]

_EVERY_S = 600.0  # a clock is set once


class ClockWatcher(Watcher):
    """Looks at the clock every ten minutes of sound."""

    def __init__(self, report: Report) -> None:
        self._fault = FaultLatch(report, "clock")
        self._due_s = 0.0

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Look, when it is time."""
        if at.stream_time_s >= self._due_s:
            self._due_s = at.stream_time_s + _EVERY_S
            match clock_synchronised():
                case False:
                    self._fault.update(True, "no time server keeps it right: connect it to one")
                case True:
                    self._fault.update(False, "the system's clock is synchronised")
        return ()
