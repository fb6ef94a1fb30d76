"""The alarm: scores of successive windows -> raised, cleared. Pure; time is passed in.

::

            above threshold             for min_duration_s, hold-off over
    quiet ------------------> pending -----------------------------------> raised
      ^                          |                                           |
      |<-------------------------'  not above threshold                      |
      '<----------------------------------------------------------------------'
                below clear_threshold: cleared, hold-off begins

* A window is *above* when its score exceeds ``threshold``. The alarm is raised at the
  first update at which all windows of the last ``min_duration_s`` were above, counted
  between window ends: 0 raises at the first window above.
* It is cleared at the first window whose score is below ``clear_threshold``. Scores
  between the two levels change nothing, so a score that hovers does not flap.
* For ``holdoff_s`` after clearing no new alarm is raised. Windows above count all the
  while, so a fault that stays is raised as soon as the hold-off is over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_asd.errors import ProfileError

__all__ = ["Alarm", "AlarmCleared", "AlarmPolicy", "AlarmRaised", "policy_for"]

_SAME_TIME_S = 1e-9  # window times are sums of multiples of 1/16000 s


@dataclass(frozen=True, slots=True)
class AlarmPolicy:
    """Levels and times of an alarm."""

    threshold: float
    clear_threshold: float  # at most `threshold`
    min_duration_s: float  # score must stay above for so long; 0: one window is enough
    holdoff_s: float  # no new alarm for so long after clearing

    def __post_init__(self) -> None:
        if not self.clear_threshold <= self.threshold:
            raise ProfileError(
                f"clear_threshold {self.clear_threshold} is above threshold {self.threshold}"
            )
        for name in ("min_duration_s", "holdoff_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ProfileError(f"{name} is {getattr(self, name)}, expected 0 or more seconds")


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """The alarm went on."""

    time_s: float
    score: float
    since_s: float  # end of the first of the windows above that led to it


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """The alarm went off."""

    time_s: float
    score: float
    duration_s: float  # since it was raised
    max_score: float  # while it was on, the windows that led to it included


class Alarm:
    """The state machine; one `update` per window."""

    def __init__(self, policy: AlarmPolicy) -> None:
        self.policy = policy
        self._above_since_s: float | None = None
        self._raised_at_s: float | None = None
        self._holdoff_until_s = -math.inf
        self._max_score = -math.inf

    @property
    def active(self) -> bool:
        """Whether the alarm is on."""
        return self._raised_at_s is not None

    def update(self, time_s: float, score: float) -> AlarmRaised | AlarmCleared | None:
        """Take the score of the window that ends at `time_s`; return what changed."""
        if self._raised_at_s is not None:
            self._max_score = max(self._max_score, score)
            if score < self.policy.clear_threshold:
                return self._clear(time_s, score, self._raised_at_s)
            return None
        if not score > self.policy.threshold:
            self._forget()
            return None
        if self._above_since_s is None:
            self._above_since_s = time_s
        self._max_score = max(self._max_score, score)
        due_s = max(self._above_since_s + self.policy.min_duration_s, self._holdoff_until_s)
        if time_s < due_s - _SAME_TIME_S:
            return None
        self._raised_at_s = time_s
        return AlarmRaised(time_s, score, self._above_since_s)

    def interrupt(self) -> None:
        """Say that audio is missing: what leads to an alarm must follow the gap.

        An alarm that is on stays on, because silence about a fault does not end it.
        """
        if not self.active:
            self._forget()

    def _clear(self, time_s: float, score: float, raised_at_s: float) -> AlarmCleared:
        cleared = AlarmCleared(time_s, score, time_s - raised_at_s, self._max_score)
        self._raised_at_s = None
        self._holdoff_until_s = time_s + self.policy.holdoff_s
        self._forget()
        return cleared

    def _forget(self) -> None:
        self._above_since_s = None
        self._max_score = -math.inf


def policy_for(
    *,
    threshold: float,
    clear_threshold: float,
    window_s: float,
    hop_s: float,
    min_duration_s: float | None = None,
    holdoff_s: float | None = None,
) -> AlarmPolicy:
    """Return a policy; times that are None follow from the window and the hop.

    Up to one hop passes before a window holds nothing but the fault, then one window
    until it ends; a minimum duration of n hops adds n hops. So that an alarm comes within
    two windows of a fault's start, n is the largest number of hops within half a window
    that leaves hop + n * hop <= window. The hold-off is one window: a fault that begins
    after the alarm was cleared is not raised any later because of it.
    """
    if min_duration_s is None:
        n_hops = math.floor(max(min(window_s / 2, window_s - hop_s), 0) / hop_s + _SAME_TIME_S)
        min_duration_s = n_hops * hop_s
    if holdoff_s is None:
        holdoff_s = window_s
    return AlarmPolicy(threshold, clear_threshold, min_duration_s, holdoff_s)
