"""Windows above the threshold: n of the last m, since when, and how far. Pure."""

from __future__ import annotations

import math
from collections import deque

from edge_asd.alarm.policy import AlarmPolicy

__all__ = ["Exceedances"]


class Exceedances:
    """The windows above the threshold among the last m, and those that a confirmed fault had.

    Attributes
    ----------
    confirmed : whether at least n of the last m windows are above
    since_s : end of the first window above that counts, infinite when none is above; as long
        as a fault stays confirmed, windows before the last m count, too
    max_score : highest score since then
    """

    confirmed: bool
    since_s: float
    max_score: float

    def __init__(self, policy: AlarmPolicy) -> None:
        self._threshold = policy.threshold
        self._n = policy.confirm_n
        self._last: deque[tuple[float, float] | None] = deque(maxlen=policy.confirm_m)
        self.forget()

    @property
    def any(self) -> bool:
        """Whether a window above counts."""
        return self.since_s < math.inf

    def add(self, time_s: float, score: float) -> None:
        """Take the score of the window that ends at `time_s`."""
        self._last.append((time_s, score) if score > self._threshold else None)
        above = [window for window in self._last if window is not None]
        was_confirmed = self.confirmed
        self.confirmed = len(above) >= self._n
        if was_confirmed and self.confirmed:
            self.max_score = max(self.max_score, score)
        else:
            self.since_s = above[0][0] if above else math.inf
            self.max_score = max((score for _, score in above), default=-math.inf)

    def forget(self) -> None:
        """Begin anew."""
        self._last.clear()
        self.confirmed = False
        self.since_s = math.inf
        self.max_score = -math.inf
