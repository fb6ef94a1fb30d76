"""Delivers events to one output at the pace of that output, without delaying the monitor.

Durable events (alarms, faults, notices) are kept in an outbox, on disk, before they are delivered,
in order, also after an outage or a restart, each at least once: an event whose acknowledgement was
lost is delivered again, with the same ``id``. All other events wait in memory and are dropped, the
oldest first, when too many wait.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from edge_asd.errors import EventRefusedError, OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.outputs import Envelope
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.output_health import OutputHealth

__all__ = ["Delivery", "Transport", "pauses_s"]

_log = logging.getLogger(__name__)

_MAX_RETRY_AFTER_S = 300.0  # what the other side may ask for
_AFTER_ERROR_S = 60.0


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


def pauses_s(
    first_s: float, cap_s: float, jitter: Callable[[], float] = random.random
) -> Iterator[float]:
    """Pauses between attempts: each twice the one before, up to a cap, less a random part.

    Parameters
    ----------
    jitter : gives numbers in [0, 1], which take away up to half of a pause
    """
    pause_s = first_s
    while True:
        yield pause_s * (1 - jitter() / 2)
        pause_s = min(2 * pause_s, cap_s)


class Delivery:
    """An output with a queue and a thread of its own.

    Parameters
    ----------
    transport : the way to the other side; closed by the thread at the end
    report : called with faults, from the thread of `emit` and from this output's own; it must
        neither wait nor call back
    accepts : whether an event is for this output
    outbox : keeps durable events; None: they are lost with the process
    keeps : whether durable events wait for this output over a restart; else it only hears them
        no earlier than all others
    capacity : how many other events may wait
    max_durable_bytes : how much durable events may wait; beyond it the oldest is given up
    pause_s, max_pause_s : after the first failed attempt, and at most
    patience_s : so long an output may fail before that is a fault
    attempts : so often an event may be refused before it is given up
    """

    def __init__(
        self,
        transport: Transport,
        *,
        report: Report,
        accepts: Callable[[Event], bool] = lambda event: True,
        outbox: Outbox | None,
        keeps: bool = True,
        capacity: int = 1000,
        max_durable_bytes: int = 10_000_000,
        pause_s: float = 1.0,
        max_pause_s: float = 60.0,
        patience_s: float = 30.0,
        attempts: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._accepts = accepts
        self._capacity = capacity
        self._max_durable_bytes = max_durable_bytes
        self._attempts = attempts
        self._clock = clock
        self._new_pauses_s = partial(pauses_s, pause_s, max_pause_s)
        self._changed = threading.Condition()  # guards all of the following
        self._pauses_s = self._new_pauses_s()
        self._health = OutputHealth(transport.name, report, patience_s=patience_s)
        self._outbox = outbox or Outbox(None, report)
        self._keeps = keeps
        self._waiting: deque[Envelope] = deque()  # in order
        self._n_durable = self._durable_bytes = 0
        self._last_done = ""  # id of the event that was taken out last
        self._sent = self._dropped = self._lost = 0
        self._behind = False  # an attempt failed, and durable events still wait
        self._refused = ("", 0, 0.0)  # id of the event refused last, how often, since when
        self._resume_at_s = 0.0  # no attempt before
        self._closing_at_s: float | None = None  # no attempt after
        self._left = False  # whether the thread may no longer touch the outbox
        self._take_up_stored()
        self._thread = threading.Thread(
            target=self._run, name=f"output-{transport.name}", daemon=True
        )
        self._outbox.listen(self._wake)
        self._thread.start()

    @property
    def name(self) -> str:
        """Name of the transport."""
        return self._transport.name

    def emit(self, event: Event) -> None:
        """Queue the event."""
        with self._changed:
            if self._accepts(event):
                keeps = self._keeps and event.durable
                self._queue(self._outbox.keep(self.name, event) if keeps else Envelope.of(event))
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
                "waiting": self._n_durable,
            }

    def close(self, deadline_s: float = 5.0) -> None:
        """Try to deliver what waits; leave the rest to the outbox for the next start.

        Returns after `deadline_s` at the latest, also when the transport hangs.
        """
        with self._changed:
            self._closing_at_s = self._clock() + deadline_s
            self._resume_at_s = 0.0
            self._changed.notify_all()
        self._thread.join(deadline_s)
        with self._changed:
            self._left = True
        if self._n_durable:
            _log.warning("%d events could not be delivered to %s yet", self._n_durable, self.name)

    def _queue(self, envelope: Envelope) -> None:
        if not envelope.durable:
            self._waiting.append(envelope)
            if len(self._waiting) - self._n_durable > self._capacity:
                self._waiting.remove(next(other for other in self._waiting if not other.durable))
                self._dropped += 1
        elif envelope not in self._waiting:
            self._waiting.append(envelope)
            self._n_durable += 1
            self._durable_bytes += len(envelope.payload)
            while self._durable_bytes > self._max_durable_bytes and self._n_durable > 1:
                self._take_out(self._first_durable())
                self._lose(1, "too many have waited")

    def _take_up_stored(self) -> None:
        """Put what has waited since before the start in front."""
        if self._keeps and (stored := self._outbox.stored(self.name)):
            later, self._waiting = self._waiting, deque()
            for envelope in stored:
                self._queue(envelope)
            self._waiting += later

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _lose(self, n_events: int, reason: str) -> None:
        self._lost += n_events
        self._health.lost(n_events, reason)

    def _run(self) -> None:
        while True:
            try:
                with self._changed:
                    envelope = self._next()
                if envelope is None:
                    break
                self._attempt(envelope)
            except (Exception, SystemExit):  # else this output would be silent for ever
                _log.exception("%s: an event could not be handled", self.name)
                with self._changed:
                    self._resume_at_s = self._clock() + _AFTER_ERROR_S
        try:
            self._transport.close()
        except (Exception, SystemExit):
            _log.exception("%s could not be closed", self.name)

    def _next(self) -> Envelope | None:
        """Wait for an event that is to be sent now; None at the end."""
        while not self._over():
            self._take_up_stored()
            envelope = self._first()
            now_s = self._clock()
            wait_s = self._resume_at_s - now_s
            if envelope is not None and envelope.durable and wait_s <= 0:
                # The last one, too, else a repeat of it might come after this one.
                wait_s = max(map(self._outbox.hold_s, (self._last_done, envelope.id)))
            if envelope is not None and wait_s <= 0:
                if not envelope.durable:
                    self._waiting.remove(envelope)
                self._health.trying(now_s)
                return envelope
            self._changed.wait(wait_s if wait_s > 0 else None)
            self._health.check(self._clock())
        return None

    def _over(self) -> bool:
        if self._closing_at_s is None:
            return False
        failed = self._resume_at_s > 0
        return not self._waiting or failed or self._clock() >= self._closing_at_s

    def _first(self) -> Envelope | None:
        """The oldest event, or the oldest durable one to catch up after a failure."""
        if self._behind and self._n_durable:
            return self._first_durable()
        return self._waiting[0] if self._waiting else None

    def _first_durable(self) -> Envelope:
        return next(envelope for envelope in self._waiting if envelope.durable)

    def _attempt(self, envelope: Envelope) -> None:
        failure: OutputError | None = None
        try:
            self._transport.send(envelope)
        except OutputError as error:
            failure = error
        except (Exception, SystemExit) as error:
            _log.exception("%s failed unexpectedly", self.name)
            failure = EventRefusedError(f"{type(error).__name__} in the program")
        with self._changed:
            if self._left:
                return
            if failure is None:
                self._on_delivery(envelope)
            elif isinstance(failure, EventRefusedError) and self._for_good(envelope, failure):
                self._on_refusal(envelope, failure)
            else:
                self._on_failure(envelope, failure)

    def _on_delivery(self, envelope: Envelope) -> None:
        self._sent += 1
        self._finish(envelope)
        self._health.delivered(durable=envelope.durable, waiting=self._n_durable)

    def _for_good(self, envelope: Envelope, refusal: EventRefusedError) -> bool:
        """Note a refusal; return whether the event is to be given up."""
        event_id, refusals, since_s = self._refused
        now_s = self._clock()
        if event_id != envelope.id:
            refusals, since_s = 0, now_s
            _log.warning("event %s is refused: %s", envelope.id, refusal)
        self._refused = (envelope.id, refusals + 1, since_s)
        return refusals + 1 >= self._attempts and now_s - since_s >= refusal.patience_s

    def _on_refusal(self, envelope: Envelope, failure: OutputError) -> None:
        _log.warning("event %s is given up: %s", envelope.id, failure)
        self._finish(envelope)
        self._health.refused()
        self._lose(1, str(failure))

    def _on_failure(self, envelope: Envelope, failure: OutputError) -> None:
        pause_s = max(next(self._pauses_s), min(failure.retry_after_s, _MAX_RETRY_AFTER_S))
        self._resume_at_s = self._clock() + pause_s
        self._behind = True
        self._health.failed(str(failure))
        self._health.check(self._clock())
        if envelope.durable:
            return
        if len(self._waiting) - self._n_durable < self._capacity:
            self._waiting.appendleft(envelope)
        else:
            self._dropped += 1

    def _finish(self, envelope: Envelope) -> None:
        self._pauses_s = self._new_pauses_s()
        self._resume_at_s = 0.0
        if envelope.durable and envelope in self._waiting:  # it was not given up meanwhile
            self._take_out(envelope)
        self._behind = self._behind and self._n_durable > 0

    def _take_out(self, durable: Envelope) -> None:
        self._waiting.remove(durable)
        self._n_durable -= 1
        self._durable_bytes -= len(durable.payload)
        self._last_done = durable.id
        self._outbox.done(self.name, durable.id)
