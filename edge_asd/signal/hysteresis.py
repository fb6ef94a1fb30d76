"""A condition that begins and ends only when it lasts."""

from __future__ import annotations

__all__ = ["Hysteresis"]

_ROUNDING_S = 1e-6


class Hysteresis:
    """Active after `raise_s` of a condition, and until `clear_s` without it.

    One account grows while the condition holds and shrinks while it does not. So a
    condition that comes and goes counts, too, when it is there for more than
    ``raise_s / (raise_s + clear_s)`` of the time, and a short one is forgotten.
    """

    def __init__(self, raise_s: float, clear_s: float) -> None:
        self.active = False
        self._raise_s = raise_s
        self._recovery = raise_s / clear_s
        self._account_s = 0.0

    def update(self, holds: bool, duration_s: float) -> bool:
        """Take what was found for `duration_s`; return whether `active` changed."""
        growth_s = duration_s if holds else -duration_s * self._recovery
        self._account_s = min(max(self._account_s + growth_s, 0.0), self._raise_s)
        before = self.active
        if self._account_s >= self._raise_s - _ROUNDING_S:
            self.active = True
        elif self._account_s <= _ROUNDING_S:
            self.active = False
        return self.active != before
