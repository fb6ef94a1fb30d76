"""The faults of one monitor, as events and in its status; they outlive a restart.

While a sound card is missing the service manager starts the monitor again and again.
What was reported before the restart is not reported again, and what is over is, once.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, model_validator

from edge_asd.events.event import Event, FaultClearedEvent, FaultRaisedEvent, utc_text
from edge_asd.events.fault import FaultChange, Figures
from edge_asd.events.moment import Moment
from edge_asd.events.status import FaultStatus
from edge_asd.outputs.outbox import Outbox
from edge_asd.state.record import (
    CLOCKS_ARE_SET_FROM,
    StateRecord,
    first_problem,
    within_the_calendar,
)

__all__ = ["IS_EVENT", "FaultReporter", "fault_raised"]

IS_EVENT = "is_event"  # of a log record: whether an event says the same

# Of sound, after which a fault from before the restart would be back: the slowest is that of
# an average level, which is known after 20 s and must be wrong for another 60 s.
_SETTLED_S = 120.0

_NAME = "faults"  # of the memory in the outbox

_log = logging.getLogger(__name__)


class SavedFaults(StateRecord):
    """The memory as JSON; an earlier version of the program wrote it to a file."""

    version: Literal[1] = 1
    faults: tuple[FaultStatus, ...] = ()

    @model_validator(mode="after")
    def _times_have_zones(self) -> Self:
        for status in self.faults:
            if within_the_calendar(datetime.fromisoformat(status.since)).tzinfo is None:
                raise ValueError(f"{status.since!r} is not a time with a zone")
        return self


class FaultReporter:
    """Reports once that a fault began, and once that it is over.

    Parameters
    ----------
    old_file : that an earlier version of the program may have left; taken over once
    """

    def __init__(self, old_file: Path | None = None) -> None:
        self._outbox: Outbox | None = None
        self._kept: tuple[FaultStatus, ...] = ()  # what `unsaved` gave last
        self._old_file = old_file
        self._reports: queue.SimpleQueue[FaultChange] = queue.SimpleQueue()
        self._active: dict[str, FaultStatus] = {}
        self._began_s: dict[str, float] = {}  # in the stream; negative: before a restart
        saved = SavedFaults.load_or_set_aside(old_file) if old_file else None
        # From before a restart, not seen again yet.
        self._carried = {status.fault: status for status in saved.faults} if saved else {}
        self._heard_s = 0.0  # since the restart, as long as that matters

    def go_on_from(self, outbox: Outbox) -> None:
        """Take up what an outbox remembers; :meth:`unsaved` is kept there from now on."""
        self._outbox = outbox
        content = outbox.memory(_NAME)
        if content is None:
            return
        self._carried = _faults_in(content)
        self._kept = self.status
        if self._old_file is not None:
            with suppress(OSError):
                self._old_file.unlink(missing_ok=True)  # it was taken over at an earlier start

    def unsaved(self) -> dict[str, bytes]:
        """Return what is wrong now if that has changed, by the name that it is kept under.

        Whoever takes events from here keeps it together with them.
        """
        status = self.status
        if [(now.fault, now.since) for now in status] == [(o.fault, o.since) for o in self._kept]:
            return {}
        self._kept = status
        return {_NAME: SavedFaults(faults=status).to_bytes()}

    @property
    def names(self) -> list[str]:
        """What is wrong now."""
        return [status.fault for status in self.status]

    @property
    def status(self) -> tuple[FaultStatus, ...]:
        """What is wrong now, the oldest first."""
        return (*self._carried.values(), *self._active.values())

    def report(self, change: FaultChange) -> None:
        """Hand over a change, which the next `collect` takes. Thread: any."""
        self._reports.put(change)

    def collect(self, at: Moment) -> list[Event]:
        """Take what was reported; return what to say about it."""
        late = self._outbox.late_memory(_NAME) if self._outbox else None
        if late is not None:
            known = self._carried | self._active
            self._carried |= {key: old for key, old in _faults_in(late).items() if key not in known}
        changes = [self._reports.get() for _ in range(self._reports.qsize())]
        return [event for change in changes for event in self.take(change, at)]

    def take(self, change: FaultChange, at: Moment) -> list[Event]:
        """Take a change; return the events that follow from it."""
        known = self._active.get(change.key)
        if known is None:
            return self._began(change, at) if change.active else []
        if not change.active:
            return self._ended(change, at)
        self._active[change.key] = replace(known, detail=change.detail)  # what is the matter now
        return []

    def settle(self, at: Moment, heard_s: float) -> list[Event]:
        """Count sound that came; return what is over since the restart, once that is clear."""
        self._heard_s += heard_s
        if not self._carried or self._heard_s < _SETTLED_S:
            return []
        return self._over(at, self._carried, "it did not come back after the restart")

    def scored(self, at: Moment) -> list[Event]:
        """Note that a window was scored: what made the monitor deaf before the restart is over."""
        deaf = {key: old for key, old in self._carried.items() if old.severity == "deaf"}
        return self._over(at, deaf, "sound is scored again after the restart")

    def _over(self, at: Moment, faults: Mapping[str, FaultStatus], detail: str) -> list[Event]:
        """End faults from before the restart."""
        if not faults:
            return []
        self._carried = {key: old for key, old in self._carried.items() if key not in faults}
        return [_cleared(at, key, detail, _lasted_s(old, at), {}) for key, old in faults.items()]

    def _began(self, change: FaultChange, at: Moment) -> list[Event]:
        carried = self._carried.pop(change.key, None)
        facts = (change.fault.meaning, change.detail)
        _log.warning("%s: %s", *facts, extra={IS_EVENT: not carried})
        since = carried.since if carried else utc_text(at.time)
        status = FaultStatus(change.key, change.fault.severity, change.detail, since)
        self._active[change.key] = status
        self._began_s[change.key] = at.stream_time_s - (_lasted_s(status, at) if carried else 0.0)
        if carried:
            return []
        return [fault_raised(at, change)]

    def _ended(self, change: FaultChange, at: Moment) -> list[Event]:
        del self._active[change.key]
        duration_s = max(at.stream_time_s - self._began_s.pop(change.key), 0.0)
        facts = (change.key, duration_s, change.detail)
        _log.info("%s is over after %.1f s: %s", *facts, extra={IS_EVENT: True})
        return [_cleared(at, change.key, change.detail, duration_s, change.figures)]


def _faults_in(content: bytes) -> dict[str, FaultStatus]:
    try:
        saved = SavedFaults.model_validate_json(content)
    except ValidationError as error:
        _log.warning("what was wrong is forgotten: %s", first_problem(error))
        return {}
    return {status.fault: status for status in saved.faults}


def fault_raised(at: Moment, change: FaultChange) -> FaultRaisedEvent:
    """Return the event of a fault that began."""
    return FaultRaisedEvent(
        **at.facts(),
        fault=change.key,
        severity=change.fault.severity,
        meaning=change.fault.meaning,
        detail=change.detail,
        figures=dict(change.figures),
    )


def _cleared(
    at: Moment, key: str, detail: str, duration_s: float, figures: Figures
) -> FaultClearedEvent:
    return FaultClearedEvent(
        **at.facts(), fault=key, detail=detail, duration_s=duration_s, figures=dict(figures)
    )


def _lasted_s(status: FaultStatus, at: Moment) -> float:
    """How long ago a fault began, by the time of day: a restart leaves no other."""
    since = datetime.fromisoformat(status.since)
    if since < CLOCKS_ARE_SET_FROM:  # unknown
        return 0.0
    return max((at.time - since).total_seconds(), 0.0)
