"""Delivers events to one output at the pace of that output, without delaying the monitor.

Durable events (alarms, faults, notices) are kept on disk and delivered in order, also after an
outage or a restart, each at least once: an event whose acknowledgement was lost is delivered
again, with the same ``id``. All other events wait in memory and are dropped, the oldest first,
when too many wait.
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
from edge_asd.events.fault import Report
from edge_asd.outputs.envelope import Envelope
from edge_asd.outputs.journal import Journal, Queued
from edge_asd.outputs.output_health import OutputHealth

__all__ = ["Backoff", "Delivery", "Transport"]

_log = logging.getLogger(__name__)

_MAX_RETRY_AFTER_S = 300.0  # what the other side may ask for
_AFTER_ERROR_S = 60.0
_DISK_RETRY_S = 5.0


class Transport(Protocol):
    """The way to the other side; used by one thread, which it may keep waiting."""

    @property
    def name(self) -> str:
        """Name in faults and counters."""
        ...

    def send(self, envelope: Envelope) -> None:
        """Deliver an event; return only once the other side has it.

        Raises
        ------
        EventRefusedError
            When the other side will never take this event.
        OutputError
            When it cannot be delivered now.
        """
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class Backoff:
    """Pauses between attempts: each twice the one before, up to a cap, less a random part."""

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
    """An output with a queue and a thread of its own.

    Parameters
    ----------
    transport : the way to the other side; closed by the thread at the end
    report : called with faults, from the thread of `emit` and from this output's own; it must
        neither wait nor call back
    accepts : whether an event is for this output
    spool : database of durable events; None keeps them in memory only
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
        self._accepts = accepts
        self._capacity = capacity
        self._attempts = attempts
        self._clock = clock
        self._jitter = jitter
        self._changed = threading.Condition()  # guards all of the following
        self._backoff = backoff or Backoff()
        self._health = OutputHealth(transport.name, report, patience_s=patience_s)
        self._journal = Journal(spool, max_bytes=max_spool_bytes)  # durable events
        self._others: deque[Queued] = deque()
        self._emitted = self._sent = self._dropped = self._lost = 0
        self._behind = False  # an attempt failed, and durable events still wait
        self._refused = ("", 0)  # id of the event that was refused last, and how often
        self._resume_at_s = 0.0  # no attempt before
        self._mend_at_s = -math.inf  # the journal is not mended before
        self._closing_at_s: float | None = None  # no attempt after
        self._left = False  # whether the thread may no longer touch the journal
        self._lose(int(self._journal.damaged), "their file was damaged")
        self._health.journal(self._journal.problem)
        self._thread = threading.Thread(
            target=self._run, name=f"output-{transport.name}", daemon=True
        )
        self._thread.start()

    @property
    def name(self) -> str:
        """Name of the transport."""
        return self._transport.name

    def emit(self, event: Event) -> None:
        """Queue the event; a durable one is on disk when this returns."""
        with self._changed:
            if self._accepts(event):
                self._emitted += 1
                self._queue(Queued(self._emitted, Envelope.of(event)))
                self._changed.notify_all()
            self._health.check(self._clock())

    def counters(self) -> dict[str, int]:
        """Events so far: ``sent``, ``dropped`` (``lost`` ones among them), durable ``waiting``.

        ``lost`` are those that were given up: refused, or durable and too many.
        """
        with self._changed:
            return {
                "sent": self._sent,
                "dropped": self._dropped + self._lost,
                "lost": self._lost,
                "waiting": len(self._journal),
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
            self._mend_journal()
            self._journal.close()
            waiting = len(self._journal)
        if waiting:
            _log.warning("%d events could not be delivered to %s yet", waiting, self.name)

    def _queue(self, queued: Queued) -> None:
        if queued.envelope.durable:
            self._lose(self._journal.append(queued), "too many have waited")
            self._health.journal(self._journal.problem)
            return
        self._others.append(queued)
        if len(self._others) > self._capacity:
            self._others.popleft()
            self._dropped += 1

    def _lose(self, n_events: int, reason: str) -> None:
        self._lost += n_events
        self._health.lost(n_events, reason)

    def _run(self) -> None:
        over = False
        while not over:
            try:
                with self._changed:
                    queued = self._next()
                if queued is not None:
                    self._attempt(queued)
                over = queued is None
            except Exception:  # else this output would be silent for ever
                _log.exception("%s: an event could not be handled", self.name)
                with self._changed:
                    self._resume_at_s = self._clock() + _AFTER_ERROR_S
        try:
            self._transport.close()
        except Exception:
            _log.exception("%s could not be closed", self.name)

    def _next(self) -> Queued | None:
        """Wait for an event that is to be sent now; None at the end."""
        while not self._over():
            now_s = self._clock()
            pause_s = self._resume_at_s - now_s
            if pause_s <= 0 and (queued := self._first()) is not None:
                self._health.trying(now_s)
                return queued
            waits_s = [pause_s] if pause_s > 0 else []
            waits_s += [_DISK_RETRY_S] if self._journal.problem else []
            self._changed.wait(min(waits_s, default=None))
            if self._clock() >= self._mend_at_s:
                self._mend_journal()
            self._health.check(self._clock())
        return None

    def _over(self) -> bool:
        if self._closing_at_s is None:
            return False
        nothing = not self._journal and not self._others
        failed = self._resume_at_s > 0
        return nothing or failed or self._clock() >= self._closing_at_s

    def _mend_journal(self) -> None:
        """Write what the disk did not take."""
        if self._journal.problem:
            self._mend_at_s = self._clock() + _DISK_RETRY_S
            self._journal.mend()
            self._health.journal(self._journal.problem)

    def _first(self) -> Queued | None:
        """Take the oldest event, or the oldest durable one to catch up after a failure."""
        durable = self._journal.first()
        if not self._others or (
            durable and (self._behind or durable.number < self._others[0].number)
        ):
            return durable
        return self._others.popleft()

    def _attempt(self, queued: Queued) -> None:
        failure: OutputError | None = None
        try:
            self._transport.send(queued.envelope)
        except OutputError as error:
            failure = error
        except Exception as error:
            _log.exception("%s failed unexpectedly", self.name)
            failure = EventRefusedError(f"{type(error).__name__} in the program")
        with self._changed:
            if self._left:
                return
            if failure is None:
                self._on_delivery(queued)
            elif isinstance(failure, EventRefusedError) and self._refused_too_often(queued):
                self._on_refusal(queued, failure)
            else:
                self._on_failure(queued, failure)

    def _on_delivery(self, queued: Queued) -> None:
        self._sent += 1
        self._finish(queued)
        self._health.delivered(durable=queued.envelope.durable, waiting=len(self._journal))

    def _refused_too_often(self, queued: Queued) -> bool:
        event_id, refusals = self._refused
        refusals = refusals + 1 if event_id == queued.envelope.id else 1
        self._refused = (queued.envelope.id, refusals)
        return refusals >= self._attempts

    def _on_refusal(self, queued: Queued, failure: OutputError) -> None:
        _log.warning("event %s is given up: %s", queued.envelope.id, failure)
        self._finish(queued)
        self._health.refused()
        self._lose(1, str(failure))

    def _on_failure(self, queued: Queued, failure: OutputError) -> None:
        pause_s = self._backoff.next_s(self._jitter())
        pause_s = max(pause_s, min(failure.retry_after_s, _MAX_RETRY_AFTER_S))
        self._resume_at_s = self._clock() + pause_s
        self._behind = True
        self._health.failed(str(failure))
        self._health.check(self._clock())
        if queued.envelope.durable:
            return
        if len(self._others) < self._capacity:
            self._others.appendleft(queued)
        else:
            self._dropped += 1

    def _finish(self, queued: Queued) -> None:
        self._backoff.reset()
        self._resume_at_s = 0.0
        if queued.envelope.durable:
            self._journal.done(queued.envelope.id)
            self._health.journal(self._journal.problem)
        self._behind = self._behind and len(self._journal) > 0
