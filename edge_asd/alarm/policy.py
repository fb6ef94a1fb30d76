"""How patient an alarm is: its levels, its times, and how many windows confirm it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from edge_asd.bundle.calibration_spec import MOST_WINDOWS
from edge_asd.errors import ProfileError
from edge_asd.profile import AlarmSettings

__all__ = ["MOST_WINDOWS", "SAME_TIME_S", "AlarmPolicy", "policy_for"]

SAME_TIME_S = 1e-9  # window times are sums of multiples of 1/16000 s

_LONGEST_S = 30 * 86_400.0
# An extreme score is as far above the threshold as three times the hysteresis.
_EXTREME_HYSTERESES = 3.0


@dataclass(frozen=True, slots=True)
class AlarmPolicy:
    """Levels and times of an alarm."""

    threshold: float
    clear_threshold: float  # at most `threshold`
    min_duration_s: float  # the fault must be confirmed for so long; 0: at once
    holdoff_s: float  # no new alarm for so long after clearing
    extreme_threshold: float | None = None  # a score above it raises at once; None: none does
    confirm_n: int = 1  # windows above ...
    confirm_m: int = 1  # ... of so many; 1 of 1: every window must be above

    @classmethod
    def listening(cls) -> Self:
        """Return what judges nothing: no window is above, and all are below."""
        return cls(math.inf, math.inf, min_duration_s=0.0, holdoff_s=0.0)

    @property
    def judges(self) -> bool:
        """Whether a window can be above."""
        return self.threshold < math.inf

    def __post_init__(self) -> None:
        if not self.clear_threshold <= self.threshold:
            raise ProfileError(
                f"clear_threshold {self.clear_threshold} is above threshold {self.threshold}"
            )
        if self.extreme_threshold is not None and not self.extreme_threshold >= self.threshold:
            raise ProfileError(
                f"extreme {self.extreme_threshold} is below threshold {self.threshold}; "
                'expected more, "auto" or "off"'
            )
        for name in ("min_duration_s", "holdoff_s"):
            value = getattr(self, name)
            if not 0 <= value <= _LONGEST_S:
                raise ProfileError(f"{name} is {value}, expected 0 to {_LONGEST_S:.0f} seconds")
        if not 1 <= self.confirm_n <= self.confirm_m <= MOST_WINDOWS:
            raise ProfileError(
                f"confirm is [{self.confirm_n}, {self.confirm_m}], expected [n, m]: n of the "
                f"last m windows, 1 <= n <= m <= {MOST_WINDOWS}"
            )


def policy_for(
    settings: AlarmSettings,
    *,
    threshold: float,
    clear_threshold: float,
    window_s: float,
    hop_s: float,
    confirm: tuple[int, int] | None = None,
    least_extreme: float = -math.inf,
) -> AlarmPolicy:
    """Return a policy; what is "auto" follows from the window, the hop and the levels.

    Without a promise:

    Up to one hop passes before a window holds nothing but the fault, then one window
    until it ends; a minimum duration of n hops adds n hops. So that an alarm comes within
    two windows of a fault's start, n is the largest number of hops within half a window
    that leaves hop + n * hop <= window. The hold-off is one window: a fault that begins
    after the alarm was cleared is not raised any later because of it.

    All windows of the minimum duration must be above. A score is extreme when it lies
    three times as far above the threshold as the threshold above the clear threshold;
    none is where the two are the same.

    Parameters
    ----------
    confirm : n of m windows that a promise says (:mod:`.promise`), which take the place of a
        minimum duration
    least_extreme : of a promise; no lower score raises at once
    """
    min_duration_s, holdoff_s = settings.min_duration_s, settings.holdoff_s
    extreme = settings.extreme
    if settings.confirm != "auto":
        confirm = None
    if min_duration_s == "auto" and confirm:
        min_duration_s = 0.0
    if min_duration_s == "auto":
        n_hops = math.floor(max(min(window_s / 2, window_s - hop_s), 0) / hop_s + SAME_TIME_S)
        min_duration_s = n_hops * hop_s
    if holdoff_s == "auto":
        holdoff_s = window_s
    if extreme == "auto":
        hysteresis = threshold - clear_threshold
        above = max(threshold + _EXTREME_HYSTERESES * hysteresis, least_extreme)
        extreme = above if hysteresis > 0 else "off"
    n, m = (confirm or (1, 1)) if settings.confirm == "auto" else settings.confirm
    return AlarmPolicy(
        threshold,
        clear_threshold,
        min_duration_s,
        holdoff_s,
        extreme_threshold=None if extreme == "off" else extreme,
        confirm_n=n,
        confirm_m=m,
    )
