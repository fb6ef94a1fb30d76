"""Whether a time server keeps the clock of the system right."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

__all__ = ["clock_synchronised"]

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


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
