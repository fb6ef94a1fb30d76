"""What came since a machine was enrolled, against what was promised of its alarm.

Two things are promised: the share of normal windows above the threshold, and false alarms per
month. A book says that reality contradicts one of them when there is evidence
(:mod:`edge_asd.drift.evidence`) for more than twice as much: a promise is an estimate. Fewer
false alarms than were asked for are never too many. After that it says so again only when twice
as much comes as it said.

What is no evidence against the alarm of a machine that is well:

- windows that led to an alarm, or came while one was on or alarms were shelved;
- alarms that somebody acknowledged within a day: they were worth a look. One that was taught
  was false, whether it was acknowledged or not;
- further alarms within an hour of one, or as long as normal sound stays as it is: they have
  one cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field

from edge_asd.bundle.manifest import PromiseSpec, ThresholdSpec
from edge_asd.drift.evidence import LEVEL, N_STAKES, alarms_capital, share_bets
from edge_asd.state.record import Finite, StateRecord, UtcTime

__all__ = ["MONTH_S", "BookedAlarm", "EnrolmentBook"]

MONTH_S = 30 * 86400.0

_TOLERANCE = 2.0  # how many times as much as promised is no contradiction yet
_ANSWER_WITHIN = timedelta(days=1)
_MOST_ALARMS = 200  # of which each one is known
_UNITS_LASTING = 6.0  # a unit of listening, as a multiple of what persists
_LEAST_UNIT_S, _MOST_UNIT_S = 3 * 3600.0, 86400.0
_ONE_CAUSE_S = 3600.0

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[Finite, Field(ge=0)]


class BookedAlarm(StateRecord):
    """An alarm that was raised."""

    alarm_id: str
    time: UtcTime
    watched_s: _Seconds  # of the book when it was raised
    acknowledged: bool = False
    taught: bool = False


class Windows(StateRecord):
    """Windows that were scored, and how much sound they brought."""

    n: _Count = 0
    above: _Count = 0
    heard_s: _Seconds = 0.0

    def plus(self, other: Windows) -> Windows:
        """Return both together."""
        return Windows(
            n=self.n + other.n,
            above=self.above + other.above,
            heard_s=self.heard_s + other.heard_s,
        )


_Capital = Annotated[list[Finite], Field(min_length=N_STAKES, max_length=N_STAKES)]


class EnrolmentBook(StateRecord):
    """Counts since an enrolment, and the evidence against its promise."""

    model_config = ConfigDict(frozen=False)

    enrolment: str  # which one
    since: UtcTime | None = None  # the first window
    windows: Windows = Field(default_factory=Windows)  # all
    watched_s: _Seconds = 0.0  # heard while an alarm could have been raised
    n_alarms: _Count = 0
    alarms: list[BookedAlarm] = Field(default_factory=list, max_length=_MOST_ALARMS)
    pending: Windows = Field(default_factory=Windows)  # lead to an alarm, or do not
    unit: Windows = Field(default_factory=Windows)  # of listening, not yet complete
    log_capital: _Capital = Field(default_factory=lambda: [0.0] * N_STAKES)
    share_limit: Finite | None = None  # None: as promised
    alarms_limit: Finite | None = None  # per month
    alarms_from_s: _Seconds = 0.0  # of `watched_s`, from when on alarms are evidence
    told: UtcTime | None = None  # when a contradiction was said last

    def take(self, at: datetime, state: str, heard_s: float, *, above: bool) -> None:
        """Take a window; `state` of the alarm after it."""
        self.since = self.since or at
        window = Windows(n=1, above=int(above), heard_s=heard_s)
        self.windows = self.windows.plus(window)
        match state:
            case "warning":
                self.pending = self.pending.plus(window)
            case "normal" | "cleared":
                self.unit = self.unit.plus(self.pending).plus(window)
                self.watched_s += self.pending.heard_s + heard_s
                self.pending = Windows()
            case _:
                self.pending = Windows()

    def raised(self, alarm_id: str, at: datetime) -> None:
        """Take an alarm."""
        self.n_alarms += 1
        booked = BookedAlarm(alarm_id=alarm_id, time=at, watched_s=self.watched_s)
        self.alarms = [*self.alarms, booked][-_MOST_ALARMS:]

    def acknowledged(self, alarm_id: str) -> None:
        """Note that somebody has seen an alarm."""
        self._mark([alarm_id], "acknowledged")

    def taught(self, alarm_ids: Iterable[str]) -> None:
        """Note which alarms were taught as normal."""
        self._mark(alarm_ids, "taught")

    def contradictions(
        self, at: datetime, threshold: ThresholdSpec, promise: PromiseSpec
    ) -> list[Literal["windows", "alarms"]]:
        """Judge what came; return what there is more of than the promise allows, once."""
        found: list[Literal["windows", "alarms"]] = []
        if self._windows_contradict(threshold, promise):
            found.append("windows")
        if self._alarms_contradict(at, promise):
            found.append("alarms")
        if found:
            self.told = at
        return found

    def false_alarms(self, at: datetime, promise: PromiseSpec, from_s: float = 0.0) -> int:
        """How many alarms count as false, those of one cause once."""
        apart = timedelta(seconds=max(_ONE_CAUSE_S, promise.lasting_s))
        count, before = 0, None
        for alarm in self.alarms:
            alone = before is None or alarm.time - before >= apart
            before = alarm.time
            unanswered = not alarm.acknowledged and at - alarm.time >= _ANSWER_WITHIN
            if alone and alarm.watched_s >= from_s and (alarm.taught or unanswered):
                count += 1
        return count

    def _mark(self, alarm_ids: Iterable[str], what: str) -> None:
        known = set(alarm_ids)
        self.alarms = [
            one.model_copy(update={what: True}) if one.alarm_id in known else one
            for one in self.alarms
        ]

    def _windows_contradict(self, threshold: ThresholdSpec, promise: PromiseSpec) -> bool:
        unit_s = min(max(_UNITS_LASTING * promise.lasting_s, _LEAST_UNIT_S), _MOST_UNIT_S)
        limit = self.share_limit or _TOLERANCE * threshold.false_alarm_rate
        if self.unit.heard_s < unit_s or limit >= 1.0:
            return False
        share = self.unit.above / self.unit.n
        capital = share_bets(np.array(self.log_capital), share, limit)
        self.unit, self.log_capital = Windows(), capital.tolist()
        if np.exp(capital).mean() < 1.0 / LEVEL:
            return False
        came = max(self.windows.above / self.windows.n, share)
        self.share_limit = max(_TOLERANCE * came, limit)
        self.log_capital = [0.0] * N_STAKES
        return True

    def _alarms_contradict(self, at: datetime, promise: PromiseSpec) -> bool:
        promised = max(promise.false_alarms_per_month, promise.wanted_per_month)
        limit = self.alarms_limit or _TOLERANCE * promised
        months = (self.watched_s - self.alarms_from_s) / MONTH_S
        came = self.false_alarms(at, promise, self.alarms_from_s)
        if alarms_capital(came, limit * months) < 1.0 / LEVEL:
            return False
        self.alarms_limit = max(_TOLERANCE * came / max(months, 1 / 30), limit)
        self.alarms_from_s = self.watched_s
        return True
