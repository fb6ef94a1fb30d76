"""Delivers events to one output at the pace of that output, never at the monitor's cost.

Durable events (alarms, faults, notices) are spooled on disk and delivered in order, also
after an outage or a restart, each exactly once; only a power cut between the moment when the
other side takes an event and the moment when that is noted down repeats this one event, with
the same ``id``: receivers drop repeats by it. All other events wait in memory and are
dropped, the oldest first, when too many wait.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge_asd.errors import EventRefusedError, OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import FaultChange, Report
from edge_asd.outputs.output_health import OutputHealth
from edge_asd.outputs.spool import Spool

__all__ = ["Backoff", "Delivery", "Transport"]

_log = logging.getLogger(__name__)

_MAX_RETRY_AFTER_S = 300.0  # what the other side may ask for
_AFTER_ERROR_S = 60.0
_DISK_RETRY_S = 5.0


class Transport(Protocol):
    """The way to the other side; used by one thread, which it may keep waiting."""

    @property
    def name(self) -> str:
        """What faults and counters call it."""
        ...

    def send(self, event: Event) -> None:
        """Deliver the event; return only once the other side has it.

        Raises
        ------
        EventRefusedError
            When the other side will never take this event.
        OutputError
            When it cannot be delivered now.
        """
        ...

    def close(self) -> None:
        """Let go of the other side."""
        ...


class Backoff:
    """Pauses between attempts: each twice the one before, up to a cap, less a part by chance."""

    def __init__(self, first_s: float = 1.0, cap_s: float = 60.0) -> None:
        self._first_s = min(first_s, cap_s)
        self._cap_s = cap_s
        self._pause_s = self._first_s

    def next_s(self, jitter: float) -> float:
        """Return the next pause; `jitter` in [0, 1] takes away up to half of it."""
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, self._cap_s)
        return pause_s * (1 - jitter / 2)

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._pause_s = self._first_s


class Delivery:
    """An output behind a queue of its own and a thread of its own.

    Parameters
    ----------
    transport : the way to the other side; closed by the thread at the end
    report : hears of faults, from the thread of `emit` and from this output's own
    accepts : which events this output is told
    spool : journal of durable events; None keeps them in memory only
    capacity : how many other events may wait
    max_spool_bytes : how much durable events may wait; beyond it the oldest is given up
    patience_s : so long an output may fail before that is a fault
    attempts : so often an event may be refused before it is given up
    """

    def __init__(
        self,
        transport: Transport,
        *,
        report: Report,
        accepts: Callable[[Event], bool] = lambda event: True,
        spool: Path | None,
        capacity: int = 1000,
        max_spool_bytes: int = 10_000_000,
        backoff: Backoff | None = None,
        patience_s: float = 30.0,
        attempts: int = 3,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._report = report
        self._accepts = accepts
        self._capacity = capacity
        self._backoff = backoff or Backoff()
        self._attempts = attempts
        self._clock = clock
        self._jitter = jitter
        self._health = OutputHealth(transport.name, patience_s=patience_s)
        self._spool = Spool(spool, max_bytes=max_spool_bytes)
        self._n_durable = len(self._spool)  # so many were queued
        self._others: deque[tuple[Event, int]] = deque()  # with the durable ones before it
        self._behind = False  # an attempt failed, and durable events still wait
        self._sent = self._dropped = self._lost = 0
        self._refusals = ("", 0)  # id of the event that was refused last, and how often
        self._resume_at_s = 0.0  # no attempt before
        self._mend_at_s = -math.inf  # the journal is not written again before
        self._closing_at_s: float | None = None  # no attempt after
        self._left = False  # whether the thread may no longer touch the spool
        self._changed = threading.Condition()  # guards all of the above
        self._news: deque[FaultChange] = deque()
        self._telling = threading.RLock()  # keeps the news in order
        self._note_spool(given_up_before=0)
        self._tell()
        self._thread = threading.Thread(
            target=self._run, name=f"output-{transport.name}", daemon=True
        )
        self._thread.start()

    @property
    def name(self) -> str:
        """Of the transport."""
        return self._transport.name

    def emit(self, event: Event) -> None:
        """Queue the event. A durable one is on disk when this returns; nobody is waited for."""
        with self._changed:
            if self._accepts(event):
                self._queue(event)
                self._changed.notify_all()
            self._news.extend(self._health.overdue(self._clock()))
        self._tell()

    def counters(self) -> dict[str, int]:
        """Events so far: ``sent``, ``dropped`` (``lost`` ones among them), durable ``waiting``.

        ``lost`` are those that were given up: refused, or durable and too many.
        """
        with self._changed:
            return {
                "sent": self._sent,
                "dropped": self._dropped + self._lost,
                "lost": self._lost,
                "waiting": len(self._spool),
            }

    def close(self, deadline_s: float = 5.0) -> None:
        """Try to deliver what waits; leave the rest on disk for the next start.

        Returns after `deadline_s` at the latest, also when the transport hangs.
        """
        with self._changed:
            self._closing_at_s = self._clock() + deadline_s
            self._resume_at_s = 0.0
            self._changed.notify_all()
        self._thread.join(deadline_s)
        with self._changed:
            self._left = True
            self._spool.save()
            self._news.extend(self._health.journal(self._spool.problem))
            waiting = len(self._spool)
        self._tell()
        if waiting:
            _log.warning("%d events could not be delivered to %s yet", waiting, self.name)

    def _queue(self, event: Event) -> None:
        if event.durable:
            given_up = self._spool.given_up
            self._n_durable += self._spool.append(event)
            self._note_spool(given_up)
            return
        self._others.append((event, self._n_durable))
        if len(self._others) > self._capacity:
            self._others.popleft()
            self._dropped += 1

    def _note_spool(self, given_up_before: int) -> None:
        given_up = self._spool.given_up - given_up_before
        self._lost += given_up
        reason = "too many have waited, or their file was damaged"
        self._news.extend(self._health.lost(given_up, reason))
        self._news.extend(self._health.journal(self._spool.problem))

    def _tell(self) -> None:
        """Report the news, in order and without the lock that `emit` needs."""
        with self._telling:
            while self._news:
                self._report(self._news.popleft())

    def _run(self) -> None:
        while not self._over():
            try:
                event = self._next()
                if event is not None:
                    self._attempt(event)
                self._tell()
            except Exception:  # else this output would be silent for ever
                _log.exception("%s: an event could not be handled", self.name)
                self._resume_at_s = self._clock() + _AFTER_ERROR_S
        try:
            self._transport.close()
        except Exception:
            _log.exception("%s could not be closed", self.name)

    def _over(self) -> bool:
        with self._changed:
            if self._closing_at_s is None:
                return False
            nothing = not self._spool and not self._others
            failed = self._resume_at_s > 0
            return nothing or failed or self._clock() >= self._closing_at_s

    def _next(self) -> Event | None:
        """Return what is to be sent now; when that is nothing, wait for a change first."""
        with self._changed:
            pause_s = self._resume_at_s - self._clock()
            if pause_s <= 0 and (event := self._first()) is not None:
                self._health.trying(self._clock())
                return event
            if self._closing_at_s is None:
                self._changed.wait(self._longest_wait_s(pause_s))
                self._mend_spool(self._clock())
                self._news.extend(self._health.overdue(self._clock()))
            return None

    def _mend_spool(self, now_s: float) -> None:
        """Write what the disk did not take, but not with every event: whoever emits waits."""
        if self._spool.problem is None or now_s < self._mend_at_s:
            return
        self._mend_at_s = now_s + _DISK_RETRY_S
        self._spool.save()
        self._news.extend(self._health.journal(self._spool.problem))

    def _longest_wait_s(self, pause_s: float) -> float | None:
        wait_s = pause_s if pause_s > 0 else None
        if self._spool.problem is None:
            return wait_s
        return min(_DISK_RETRY_S, wait_s or _DISK_RETRY_S)

    def _first(self) -> Event | None:
        """Take the oldest event, or the oldest durable one to catch up after a failure."""
        durable = self._spool.first()
        n_finished = self._n_durable - len(self._spool)
        if durable and (self._behind or not self._others or n_finished < self._others[0][1]):
            return durable
        return self._others.popleft()[0] if self._others else None

    def _attempt(self, event: Event) -> None:
        try:
            self._transport.send(event)
        except EventRefusedError as error:
            self._on_refusal(event, error)
        except OutputError as error:
            self._on_failure(event, error)
        except Exception as error:
            _log.exception("%s failed unexpectedly", self.name)
            self._on_refusal(event, OutputError(f"{type(error).__name__} in the program"))
        else:
            self._on_delivery(event)

    def _on_delivery(self, event: Event) -> None:
        with self._changed:
            if self._left:
                return
            self._sent += 1
            self._finish(event)
            waiting = len(self._spool)
            self._news.extend(self._health.delivered(durable=event.durable, waiting=waiting))

    def _on_failure(self, event: Event, error: OutputError) -> None:
        with self._changed:
            pause_s = self._backoff.next_s(self._jitter())
            pause_s = max(pause_s, min(error.retry_after_s, _MAX_RETRY_AFTER_S))
            self._resume_at_s = self._clock() + pause_s
            self._behind = True
            self._health.failed(str(error))
            self._news.extend(self._health.overdue(self._clock()))
            if event.durable:
                return
            if len(self._others) < self._capacity:
                self._others.appendleft((event, 0))
            else:
                self._dropped += 1

    def _on_refusal(self, event: Event, error: OutputError) -> None:
        event_id, refusals = self._refusals
        refusals = refusals + 1 if event_id == event.id else 1
        self._refusals = (event.id, refusals)
        if refusals < self._attempts:
            self._on_failure(event, error)
            return
        _log.warning("event %s is given up: %s", event.id, error)
        with self._changed:
            if self._left:
                return
            self._lost += 1
            self._finish(event)
            self._health.refused()
            self._news.extend(self._health.lost(1, str(error)))

    def _finish(self, event: Event) -> None:
        self._backoff.reset()
        self._resume_at_s = 0.0
        if event.durable:
            self._spool.done(event.id)
            self._news.extend(self._health.journal(self._spool.problem))
        self._behind = self._behind and len(self._spool) > 0
