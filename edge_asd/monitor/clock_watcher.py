"""The fault ``clock``: the clock of the system is not set, so that all times are doubtful."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher

__all__ = ["ClockWatcher", "clock_synchronised"]

_EVERY_S = 600.0  # a clock is set once
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


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


class _Timex(ctypes.Structure):
    """The beginning of the kernel's ``struct timex``, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock_synchronised(adjtimex: Callable[[Any], int] | None = None) -> bool | None:
    """Whether a time server keeps the system's clock right; None where the kernel does not say.

    Parameters
    ----------
    adjtimex : the system call; None: of this system
    """
    if adjtimex is None:
        adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)  # not on macOS
        if adjtimex is None:
            return None
    state = _Timex(modes=0)  # only ask
    result = adjtimex(ctypes.byref(state))
    if result < 0:
        return None
    return result != _TIME_ERROR and not state.status & _STA_UNSYNC
