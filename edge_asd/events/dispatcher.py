"""Dispatches events to watchers and outputs, and blocks and windows to watchers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from edge_asd.errors import OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import Report, ended, noticed
from edge_asd.events.watcher import Watcher
from edge_asd.outputs import Output
from edge_asd.outputs.outbox import Outbox

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)

_CLOCK_TICK = timedelta(milliseconds=1)  # as ids tell times apart

_Call = Literal["on_block", "on_gap", "on_window", "on_learned", "on_tick", "on_event"]


class Dispatcher:
    """Calls every part, whichever other part fails; a failure is reported as a fault.

    A part that keeps failing is one fault, which ends when the call that failed succeeds.
    Thread: the monitor's.

    Parameters
    ----------
    report : called when a part fails, and when it works again
    on_closed : called when the reader of an output has gone
    outbox : writes durable events before outputs hear them; None: nothing is kept
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        outputs: Sequence[Output],
        *,
        report: Report,
        on_closed: Callable[[], None],
        outbox: Outbox | None = None,
    ) -> None:
        self.watchers = watchers
        self._outputs = outputs
        self._report = report
        self._on_closed = on_closed
        self._outbox = outbox or Outbox(None, report)
        self._closed: set[str] = set()  # outputs without a reader
        self._recent: deque[str] = deque(maxlen=50)  # ids of events
        self._failing: dict[str, set[str]] = {}  # by name of the part: the calls that fail

    def emit(self, *events: Event, memory: Mapping[str, bytes] | None = None) -> None:
        """Give events to every watcher, then to every output; keep the memory with them.

        Of several events with one id the later ones get a later time, by which ids differ:
        repeats are known, and dropped, by their id.

        Parameters
        ----------
        memory : what must survive a restart exactly when the events do, by name
        """
        distinct = [self._distinct(event) for event in events]
        for event in distinct:
            self.ask("on_event", event)
        with self._outbox.together(distinct, memory):
            for event in distinct:
                self._put_out(event)

    def _distinct(self, event: Event) -> Event:
        while event.id in self._recent:
            event = replace(event, time=event.time + _CLOCK_TICK)
        self._recent.append(event.id)
        return event

    def _put_out(self, event: Event) -> None:
        for output in self._open:
            with self._watched("output", output.name, "emit"):
                try:
                    output.emit(event)
                except BrokenPipeError:
                    self._closed.add(output.name)
                    self._on_closed()

    def ask(self, call: _Call, *arguments: Any) -> list[Event]:
        """Call this method of every watcher; return all events that the watchers give."""
        events: list[Event] = []
        for watcher in self.watchers:
            with self._watched("part", type(watcher).__name__, call):
                events += getattr(watcher, call)(*arguments) or ()
        return events

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """Events sent, dropped and waiting, by output."""
        return {output.name: self._counters(output) for output in self._open}

    @property
    def undelivered(self) -> int:
        """Number of events that still wait in some output."""
        return sum(counters.get("waiting", 0) for counters in self.counters.values())

    @property
    def _open(self) -> list[Output]:
        return [output for output in self._outputs if output.name not in self._closed]

    def _counters(self, output: Output) -> dict[str, int]:
        with self._watched("output", output.name, "counters"):
            return output.counters()
        return {}

    @contextmanager
    def _watched(self, fault: str, name: str, call: str) -> Iterator[None]:
        """Report a call of a part that fails, and that all its calls work again."""
        try:
            yield
        except (Exception, SystemExit) as error:  # no part may end the monitor
            self._failed(fault, name, call, error)
        else:
            self._works(fault, name, call)

    def _failed(self, fault: str, name: str, call: str, error: BaseException) -> None:
        failing = self._failing.setdefault(name, set())
        expected = isinstance(error, OutputError)
        if not expected and call not in failing:
            _log.error("%s of %s failed unexpectedly", call, name, exc_info=error)
        if not failing or expected:  # the reason why an output fails may change
            detail = str(error) if expected else f"{call} failed: {type(error).__name__}: {error}"
            self._report(noticed(fault, detail, subject=name))
        failing.add(call)

    def _works(self, fault: str, name: str, call: str) -> None:
        failing = self._failing.get(name, set())
        if call in failing:
            failing.remove(call)
            if not failing:
                self._report(ended(fault, "it works again", subject=name))
