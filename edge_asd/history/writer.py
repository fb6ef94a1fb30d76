"""Writes the history in a thread of its own: nobody waits for the disk."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from edge_asd.errors import StateError
from edge_asd.events.event import Event, utc_text
from edge_asd.history.database import DamagedHistoryError, HistoryDatabase
from edge_asd.history.minute import Minute
from edge_asd.state.disk_health import DiskHealth

__all__ = ["HistoryWriter"]

_MOST_WAITING = 1440  # minutes, and as many events: a day of a disk that takes nothing
_RETRY_S = 10.0
_DEADLINE_S = 1.5
_TELL_DAMAGE_S = 86_400.0

_log = logging.getLogger(__name__)


class HistoryWriter:
    """Takes minutes and events without waiting; when too many wait, the oldest are lost.

    Parameters
    ----------
    database : used by the thread alone
    retry_s : from a write that failed to the next attempt
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        database: HistoryDatabase,
        *,
        retry_s: float = _RETRY_S,
        most_waiting: int = _MOST_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._retry_s = retry_s
        self._clock = clock
        self._health = DiskHealth(clock=clock)
        self._damage: tuple[str, float] | None = None  # in words, until when it is told
        self._changed = threading.Condition()  # guards all of the following
        self._minutes: deque[Minute] = deque(maxlen=most_waiting)
        self._events: deque[Event] = deque(maxlen=most_waiting)
        self._failed = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why the history is not kept, or what of it is lost; None: all is well. Thread: any."""
        if (problem := self._health.problem) is not None:
            return problem
        damage = self._damage
        return damage[0] if damage and self._clock() < damage[1] else None

    def put(self, *items: Minute | Event) -> None:
        """Have minutes and events written; raises nothing and never waits. Thread: any."""
        with self._changed:
            for item in items:
                if isinstance(item, Minute):
                    self._minutes.append(item)
                else:
                    self._events.append(item)
            self._changed.notify_all()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until everything is on the disk; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waits(), timeout_s)

    def close(self, deadline_s: float = _DEADLINE_S) -> None:
        """Write what waits, once more; give up after `deadline_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(deadline_s)
        with self._changed:
            if self._waits():
                _log.warning("the last minutes of the history could not be written")

    def _waits(self) -> bool:
        return bool(self._minutes or self._events)

    def _run(self) -> None:
        last = False
        while not last:
            with self._changed:
                self._changed.wait_for(lambda: self._waits() or self._closing)
                minutes, events = list(self._minutes), list(self._events)
                last = self._closing
            if not (minutes or events):
                continue
            written = self._write(minutes, events)
            with self._changed:
                if written:
                    _take_out(self._minutes, minutes)
                    _take_out(self._events, events)
                    self._changed.notify_all()
                else:
                    self._changed.wait_for(lambda: self._closing, self._retry_s)
        self._database.close()

    def _write(self, minutes: list[Minute], events: list[Event]) -> bool:
        with self._health.writing(str(self._database.path)):
            try:
                self._write_or_begin_anew(minutes, events)
            except StateError as error:  # says it all
                self._health.reason = str(error)
                return False
            except (OSError, sqlite3.Error) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            except Exception as error:  # what cannot be written must not keep the rest waiting
                _log.exception("some minutes of the history are lost")
                self._health.reason = f"some minutes are lost: {type(error).__name__}: {error}"
                return True
            else:
                self._health.reason = None
                return True
        self._health.reason = f"cannot write {self._database.path}: {reason}; alarms go on"
        return False

    def _write_or_begin_anew(self, minutes: list[Minute], events: list[Event]) -> None:
        try:
            self._database.write(minutes, events)
        except DamagedHistoryError as error:
            aside = self._database.move_aside()
            told = (
                f"{self._database.path} was damaged ({error}) and is kept as {aside.name}; "
                f"a new one began at {utc_text(datetime.now(UTC))}"
            )
            _log.warning("%s", told)
            self._damage = told, self._clock() + _TELL_DAMAGE_S
            self._database.write(minutes, events)


def _take_out(waiting: deque[Minute] | deque[Event], written: list[Minute] | list[Event]) -> None:
    """Remove what was written; some of it may have been lost at the full end meanwhile."""
    for item in written:
        if waiting and waiting[0] is item:
            waiting.popleft()
