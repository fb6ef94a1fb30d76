"""The condition index: how often, and how far, windows lie above normal, from 0 to 100.

The *rarity* of a window is ``-ln r``, r the share of normal windows that score higher. It is 1
on average while the machine sounds as it was enrolled, and it ends at that of the alarm
threshold, so that no single window weighs much. The index is the mean rarity on a scale from
what it was at enrolment (0) to what it is when every window reaches the threshold (100). 50 is
half of the windows there and the others normal, or all of them among the rarest few percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field

from edge_asd.bundle.calibration_spec import ThresholdSpec, clear_rate
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.state.record import Finite, StateRecord

__all__ = ["DAY", "HOUR", "NormalTail", "RecentRarity"]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_SLOT_S = 600.0
_LEAST_HEARD = 1 / 6  # share of a period; an index of less says little about it
_MOST_SLOTS = round(DAY.total_seconds() / _SLOT_S)


class NormalTail:
    """How rare scores are among those of normal windows.

    Parameters
    ----------
    threshold : of the alarm; its `levels` where there are some, else its two levels
    normal : of an enrolment, used where `threshold` has no levels
    """

    def __init__(self, threshold: ThresholdSpec, normal: NormalSummary | None = None) -> None:
        self.normal_mean = 1.0 - threshold.false_alarm_rate  # of the rarities, as it ends there
        self.limit = -math.log(threshold.false_alarm_rate)
        known = [*_quantiles(threshold, normal), (threshold.false_alarm_rate, threshold.threshold)]
        known.sort(key=lambda point: -point[0])
        self._levels: list[float] = []
        self._rarities: list[float] = []
        for rate, level in known:
            above = not self._levels or level > self._levels[-1]
            if above and (level < threshold.threshold or rate == threshold.false_alarm_rate):
                self._levels.append(level)
                self._rarities.append(-math.log(rate))
        # Mean rarity of the normal windows below the lowest level: what they have in all is kept.
        least = math.exp(-self._rarities[0])
        self._below = 1.0 - self._rarities[0] * least / (1.0 - least)

    def rarity(self, score: float) -> float:
        """Return how rare a score is; higher is rarer, at most `limit`."""
        if score < self._levels[0]:
            return self._below
        return float(np.interp(score, self._levels, self._rarities))

    def index(self, mean_rarity: float) -> float:
        """Return the condition index of windows that have this rarity on average."""
        share = (mean_rarity - self.normal_mean) / (self.limit - self.normal_mean)
        return 100.0 * min(max(share, 0.0), 1.0)


class Slot(StateRecord):
    """What was heard in ten minutes."""

    number: Annotated[int, Field(ge=0)]  # since 1970
    windows: Annotated[int, Field(ge=0)]
    rarity: Finite  # of all windows together
    heard_s: Annotated[Finite, Field(ge=0)]


class RecentRarity(StateRecord):
    """Rarity of the windows of the last day, in slots of ten minutes."""

    model_config = ConfigDict(frozen=False)

    slots: list[Slot] = Field(default_factory=list, max_length=_MOST_SLOTS)

    def add(self, time: datetime, rarity: float, heard_s: float) -> None:
        """Take a window that added so many seconds of sound."""
        now = _number(time)
        # Of a clock that was set back, what seems to be still to come goes.
        self.slots = [slot for slot in self.slots if now - _MOST_SLOTS < slot.number <= now]
        last = Slot(number=now, windows=0, rarity=0.0, heard_s=0.0)
        if self.slots and self.slots[-1].number == now:
            last = self.slots.pop()
        self.slots.append(
            Slot(
                number=now,
                windows=last.windows + 1,
                rarity=last.rarity + rarity,
                heard_s=last.heard_s + heard_s,
            )
        )

    def index(self, tail: NormalTail, time: datetime, period: timedelta) -> float | None:
        """Return the condition index of a period up to `time`; None: too little was heard."""
        slots = list(self._within(time, period))
        if sum(slot.heard_s for slot in slots) < _LEAST_HEARD * period.total_seconds():
            return None
        windows = sum(slot.windows for slot in slots)
        return tail.index(sum(slot.rarity for slot in slots) / windows)

    def _within(self, time: datetime, period: timedelta) -> Iterator[Slot]:
        now = _number(time)
        first = now - round(period.total_seconds() / _SLOT_S)
        return (slot for slot in self.slots if first < slot.number <= now)


def _number(time: datetime) -> int:
    return max(int(time.timestamp() // _SLOT_S), 0)


def _quantiles(
    threshold: ThresholdSpec, normal: NormalSummary | None
) -> tuple[tuple[float, float], ...]:
    """Rates, and the levels that so large a share of normal windows exceeds."""
    if threshold.levels:
        return threshold.levels
    if normal is not None:
        return ((0.5, normal.score_median), (0.05, normal.score_p95))
    return ((clear_rate(threshold.false_alarm_rate), threshold.clear_threshold),)
