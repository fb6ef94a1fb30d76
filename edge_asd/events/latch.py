"""Conditions that begin and end only when they last, and faults that are reported once."""

from __future__ import annotations

from edge_asd.events.fault import Report, ended, noticed

__all__ = ["FaultLatch", "Latch"]

_ROUNDING = 1e-9  # of the level, after many additions


class Latch:
    """On after `raise_s` of a condition, and off after `clear_s` without it.

    A level rises from 0 to 1 within `raise_s` while the condition holds, and falls within
    `clear_s` while it does not. So a condition that comes and goes counts, too, when it holds
    for more than ``raise_s / (raise_s + clear_s)`` of the time, and a short one is forgotten.
    Zero seconds: at once.
    """

    def __init__(self, raise_s: float = 0.0, clear_s: float = 0.0) -> None:
        self.active = False
        self._raise_s = raise_s
        self._clear_s = clear_s
        self._level = 0.0

    def update(self, holds: bool | None, duration_s: float = 0.0) -> bool:
        """Take what was found for `duration_s`, None for unknown; return whether it switched."""
        if holds is None:
            return False
        if holds:
            self._level += duration_s / self._raise_s if self._raise_s else 1.0
        else:
            self._level -= duration_s / self._clear_s if self._clear_s else 1.0
        self._level = min(max(self._level, 0.0), 1.0)
        before = self.active
        if self._level >= 1.0 - _ROUNDING:
            self.active = True
        elif self._level <= _ROUNDING:
            self.active = False
        return self.active != before


class FaultLatch:
    """One fault, reported once when it begins and once when it is over.

    Parameters
    ----------
    name, subject : of the fault, see :class:`edge_asd.events.fault.FaultChange`
    raise_s, clear_s : see :class:`Latch`
    """

    def __init__(
        self,
        report: Report,
        name: str,
        *,
        subject: str = "",
        raise_s: float = 0.0,
        clear_s: float = 0.0,
    ) -> None:
        self._report = report
        self._name = name
        self._subject = subject
        self._latch = Latch(raise_s, clear_s)

    @property
    def active(self) -> bool:
        """Whether the fault is there."""
        return self._latch.active

    def update(
        self, holds: bool | None, detail: str, *, duration_s: float = 0.0, **figures: float | str
    ) -> bool:
        """Take what was found for `duration_s`; return whether the fault began or ended."""
        switched = self._latch.update(holds, duration_s)
        if switched:
            change = noticed if self.active else ended
            self._report(change(self._name, detail, subject=self._subject, **figures))
        return switched
