"""The alarm of one machine: its changes as events, its memory on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from edge_asd.alarm.change import Change, Cleared, Raised, Unshelved, Warned
from edge_asd.alarm.life_cycle import Alarm, AlarmMemory
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
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.explain.explanation import Explanation

__all__ = ["AlarmReporter", "WindowFacts"]

_RETRY_S = 10.0  # of a disk that was full: the monitor waits for each attempt

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
    """Gives scores to the alarm, reports what changed, and saves what must survive a restart.

    Parameters
    ----------
    store : None keeps the memory of the alarm in the process alone
    utc : time of day of a position in the stream
    report : is given the fault ``disk`` when the memory cannot be written
    """

    def __init__(
        self,
        alarm: Alarm,
        store: AlarmStore | None,
        *,
        utc: Callable[[float], datetime],
        report: Report,
    ) -> None:
        self.alarm = alarm
        self._store = store
        self._utc = utc
        self._disk = FaultLatch(report, "disk", subject="alarm state")
        self._saved = _essence(alarm.memory)
        self._tried_s = 0.0  # second of the stream when it was written, or not, last

    def window(
        self, at: Moment, facts: WindowFacts, explain: Callable[[], Explanation | None]
    ) -> list[Event]:
        """Take the score of a window that ends at `at`; return the events that follow from it.

        The next `tick` saves the memory: a power cut between the two reports an alarm twice,
        and the other order would report it never.

        Parameters
        ----------
        explain : asked only when an alarm is raised
        """
        changes = self.alarm.update(at.stream_time_s, facts["score"])
        return [_event(at, change, facts, explain) for change in changes]

    def tick(self, at: Moment) -> list[Event]:
        """Let time pass: what expires, expires, and what changed is saved."""
        expired = self.alarm.tick(at.stream_time_s)
        self._save(at)
        return [AlarmUnshelvedEvent(**at.facts(), reason="expired") for _ in expired]

    def acknowledge(self, at: Moment, note: str) -> AlarmAcknowledgedEvent:
        """Note that somebody has seen the alarm.

        Raises
        ------
        ControlError
            When there is none.
        """
        alarm_id = self.alarm.acknowledge()
        self._save(at)
        return AlarmAcknowledgedEvent(**at.facts(), alarm_id=alarm_id, note=note)

    def shelve(self, at: Moment, until: datetime, note: str) -> AlarmShelvedEvent:
        """Raise no alarm until a time of day.

        Raises
        ------
        ControlError
            When it has passed.
        """
        for_s = (until - at.time).total_seconds()
        closed = self.alarm.shelve(at.stream_time_s, at.stream_time_s + for_s)
        self._save(at)
        return AlarmShelvedEvent(**at.facts(), alarm_id=closed, until=until, note=note)

    def unshelve(self, at: Moment) -> Event:
        """Raise alarms again.

        Raises
        ------
        ControlError
            When nothing is shelved.
        """
        self.alarm.unshelve()
        self._save(at)
        return AlarmUnshelvedEvent(**at.facts(), reason="requested")

    @property
    def shelved_until(self) -> datetime | None:
        """When alarms are raised again, if they are not now."""
        until_s = self.alarm.memory.shelved_until_s
        return None if until_s is None else self._utc(until_s)

    def _save(self, at: Moment) -> None:
        """Write what changed; a full disk is a fault, and tried again after a while."""
        memory = self.alarm.memory
        essence = _essence(memory)
        due = self._disk.active and at.stream_time_s - self._tried_s >= _RETRY_S
        if self._store is None or (essence == self._saved and not due):
            return
        self._saved, self._tried_s = essence, at.stream_time_s
        try:
            self._store.save(memory)
        except OSError as error:
            self._disk.update(
                True,
                f"the state of the alarm cannot be written: {error.strerror}; free some space, "
                "a restart would forget it",
            )
        else:
            self._disk.update(False, "the state is on disk again")


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
