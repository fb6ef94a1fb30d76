"""Everything that hears the events of a monitor: watchers first, then the sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_asd.errors import SinkError
from edge_asd.events.event import Event
from edge_asd.events.fault import Report, ended, noticed
from edge_asd.monitor.watcher import Watcher
from edge_asd.outputs import Sink

__all__ = ["Dispatcher"]


class Dispatcher:
    """Hands each event on; what fails is a fault and never an end.

    Parameters
    ----------
    report : hears that a sink fails, and that it works again
    on_closed : called when whoever reads the events has gone
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        *,
        report: Report,
        on_closed: Callable[[], None],
    ) -> None:
        self._sinks: list[Sink] = []
        self._watchers = watchers
        self._report = report
        self._on_closed = on_closed
        self._failing: set[str] = set()

    def add(self, sinks: Sequence[Sink]) -> None:
        """Tell these, too."""
        self._sinks += sinks

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        for watcher in self._watchers:
            watcher.on_event(event)
        for sink in tuple(self._sinks):
            try:
                sink.emit(event)
            except BrokenPipeError:
                self._sinks.remove(sink)  # the others still hear of the end
                self._on_closed()
            except SinkError as error:
                self._failing.add(sink.name)
                self._report(noticed("output", str(error), subject=sink.name))
            else:
                self._works(sink)

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """What each sink has sent, dropped and still to send."""
        return {sink.name: sink.counters() for sink in self._sinks}

    @property
    def undelivered(self) -> int:
        """Events that some sink still has to deliver."""
        return sum(counters.get("waiting", 0) for counters in self.counters.values())

    def _works(self, sink: Sink) -> None:
        if sink.name in self._failing:
            self._failing.remove(sink.name)
            self._report(ended("output", "it takes events again", subject=sink.name))
