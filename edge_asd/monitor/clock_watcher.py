"""Says when the clock of the system is not set, because then all times are doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report, ended, noticed
from edge_asd.monitor.watcher import Moment, Watcher

__all__ = ["ClockWatcher"]

_EVERY_S = 600.0  # asking starts a look at the kernel; a clock is set once


class ClockWatcher(Watcher):
    """Asks now and then.

    Parameters
    ----------
    synchronised : True, False, or None where nobody knows
    """

    def __init__(self, report: Report, synchronised: Callable[[], bool | None]) -> None:
        self._report = report
        self._synchronised = synchronised
        self._due_s = 0.0

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Ask, when it is time."""
        if at.stream_time_s >= self._due_s:
            self._due_s = at.stream_time_s + _EVERY_S
            match self._synchronised():
                case False:
                    self._report(
                        noticed(
                            "clock",
                            "the system's clock is not synchronised; times of events may be "
                            "wrong: connect it to a time server",
                        )
                    )
                case True:
                    self._report(ended("clock", "the system's clock is synchronised"))
        return ()
