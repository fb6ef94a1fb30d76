"""The alarm of one machine: its changes as events, and its memory, which goes with them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from edge_asd.alarm.change import Change, Cleared, Raised, Unshelved, Warned
from edge_asd.alarm.life_cycle import Alarm, AlarmMemory, OpenAlarm
from edge_asd.alarm.store import AlarmStore
from edge_asd.events.event import (
    AlarmAcknowledgedEvent,
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AlarmShelvedEvent,
    AlarmUnshelvedEvent,
    AlarmWarningEvent,
    Event,
)
from edge_asd.events.moment import Moment
from edge_asd.explain.explanation import Explanation

__all__ = ["AlarmReporter", "WindowFacts"]

_log = logging.getLogger(__name__)


class WindowFacts(TypedDict):
    """What every event about a window has."""

    window_start_s: float
    score: float
    threshold: float
    clear_threshold: float
    branches: dict[str, float]
    level_dbfs: dict[str, float]


class AlarmReporter:
    """Gives scores to the alarm, reports what changed, and says what must survive a restart.

    Whoever takes events from here keeps what `unsaved` gives together with them.

    Parameters
    ----------
    store : None keeps the memory of the alarm in the process alone
    utc : time of day of a position in the stream
    """

    def __init__(
        self, alarm: Alarm, store: AlarmStore | None, *, utc: Callable[[float], datetime]
    ) -> None:
        self.alarm = alarm
        self._store = store
        self._utc = utc
        self._kept: AlarmMemory | None = None  # what `unsaved` gave last
        self._facts: WindowFacts | None = None  # of the last window

    def window(
        self, at: Moment, facts: WindowFacts, explain: Callable[[], Explanation | None]
    ) -> list[Event]:
        """Take the score of a window that ends at `at`; return the events that follow from it.

        Parameters
        ----------
        explain : asked only when an alarm is raised
        """
        self._facts = facts
        changes = self.alarm.update(at.stream_time_s, facts["score"])
        return [_event(at, change, facts, explain) for change in changes]

    def tick(self, at: Moment) -> list[Event]:
        """Let time pass: what expires, expires."""
        late = self._store.late() if self._store else None
        over = self.alarm.take_up(late) if late else None
        expired = self.alarm.tick(at.stream_time_s)
        events: list[Event] = [self._closed(at, over)] if over else []
        return events + [AlarmUnshelvedEvent(**at.facts(), reason="expired") for _ in expired]

    def clock_was_set(self) -> None:
        """Place what was known before a restart anew, and keep all times by the clock of now."""
        if self._store and (placed := self._store.placed_again()):
            self.alarm.place_again(*placed)
        self._kept = None

    def unsaved(self) -> dict[str, bytes]:
        """Return the memory of the alarm if it has changed, by the name that it is kept under."""
        essence = _essence(self.alarm.memory)
        if self._store is None or essence == self._kept:
            return {}
        self._kept = essence
        return self._store.content(self.alarm.memory)

    def acknowledge(self, at: Moment, note: str) -> AlarmAcknowledgedEvent:
        """Note that somebody has seen the alarm.

        Raises
        ------
        ControlError
            When there is none.
        """
        alarm_id = self.alarm.acknowledge()
        return AlarmAcknowledgedEvent(**at.facts(), alarm_id=alarm_id, note=note)

    def shelve(
        self, at: Moment, until: datetime, note: str
    ) -> tuple[AlarmClearedEvent | None, AlarmShelvedEvent]:
        """Raise no alarm until a time of day; an alarm that is on is cleared.

        Raises
        ------
        ControlError
            When it has passed.
        """
        for_s = (until - at.time).total_seconds()
        opened = self.alarm.memory.open
        closed = self.alarm.shelve(at.stream_time_s, at.stream_time_s + for_s)
        cleared = self._closed(at, opened) if opened else None
        return cleared, AlarmShelvedEvent(**at.facts(), alarm_id=closed, until=until, note=note)

    def _closed(self, at: Moment, opened: OpenAlarm) -> AlarmClearedEvent:
        """The end of an alarm that no window has cleared."""
        return AlarmClearedEvent(
            **at.facts(),
            **(self._facts or self._no_facts(at)),
            alarm_id=opened.alarm_id,
            duration_s=at.stream_time_s - opened.raised_at_s,
            max_score=opened.max_score,
        )

    def _no_facts(self, at: Moment) -> WindowFacts:
        """What is known before the first window."""
        return WindowFacts(
            window_start_s=at.stream_time_s,
            score=math.nan,
            threshold=self.alarm.policy.threshold,
            clear_threshold=self.alarm.policy.clear_threshold,
            branches={},
            level_dbfs={},
        )

    def unshelve(self, at: Moment) -> Event:
        """Raise alarms again.

        Raises
        ------
        ControlError
            When nothing is shelved.
        """
        self.alarm.unshelve()
        return AlarmUnshelvedEvent(**at.facts(), reason="requested")

    @property
    def shelved_until(self) -> datetime | None:
        """When alarms are raised again, if they are not now."""
        until_s = self.alarm.memory.shelved_until_s
        return None if until_s is None else self._utc(until_s)


def _event(
    at: Moment,
    change: Change,
    facts: WindowFacts,
    explain: Callable[[], Explanation | None],
) -> Event:
    match change:
        case Unshelved():
            return AlarmUnshelvedEvent(**at.facts(), reason="expired")
        case Warned():
            return AlarmWarningEvent(**at.facts(), **facts)
        case Raised():
            return AlarmRaisedEvent(
                **at.facts(),
                **facts,
                alarm_id=change.alarm_id,
                rule=change.rule,
                above_since_s=change.since_s,
                explanation=_explained(explain),
            )
        case Cleared():
            return AlarmClearedEvent(
                **at.facts(),
                **facts,
                alarm_id=change.alarm_id,
                duration_s=change.duration_s,
                max_score=change.max_score,
            )


def _explained(explain: Callable[[], Explanation | None]) -> Explanation | None:
    try:
        return explain()
    except Exception:  # an alarm without an explanation is still an alarm
        _log.exception("an alarm could not be explained")
        return None


def _essence(memory: AlarmMemory) -> AlarmMemory:
    """What is worth a write to a card that wears out: not every new highest score."""
    return replace(memory, open=memory.open and replace(memory.open, max_score=0.0))
