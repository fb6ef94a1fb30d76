"""Standard output of ``listen``: a live view in a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TextIO

from rich.console import Console

from edge_asd.errors import ReaderGoneError
from edge_asd.events import fault_reporter
from edge_asd.events.fault import Report
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.meter import Meter
from edge_asd.monitor.stop import Stop
from edge_asd.outputs import Envelope, Output
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.direct import Direct
from edge_asd.outputs.jsonl import PATIENCE_S, JsonlStream
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.patient_write import until

__all__ = ["standard_output"]


def standard_output(
    board: StatusBoard,
    stop: Stop,
    ending: RunEnd,
    *,
    as_json: bool,
    live: bool,
    report: Report,
    outbox: Outbox,
) -> tuple[list[Watcher], list[Output]]:
    """Return what speaks to whoever started the program; `ending` closes it.

    Live sound does not wait for a reader that is slow; a recording does.

    Parameters
    ----------
    stop : set when whoever reads has gone
    """
    if sys.stdout is None:  # closed before the start
        return [], []
    if sys.stdout.isatty() and not as_json:
        clock = time.monotonic if live else None
        console = Console(file=_stream_apart(sys.stdout))
        if sys.stderr is not None and sys.stderr.isatty():
            ending.add(_EventsNotLogged())
        return [ending.add(Meter(console, board, clock))], []
    if not live:
        return [], [Direct(JsonlStream(sys.stdout, waits=until(stop.is_set)))]
    reader = _Reader(JsonlStream(sys.stdout), partial(stop.end, "the output was closed"))
    delivery = Delivery(
        reader,
        report=report,
        outbox=outbox,
        keeps=False,
        patience_s=PATIENCE_S,
        max_pause_s=PATIENCE_S,
    )
    return [], [ending.add(delivery)]


class _EventsNotLogged:
    """Until it is closed, no fault is logged that the live view beside the log says as well."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(fault_reporter.__name__)
        self._logger.addFilter(self._keep)

    def close(self) -> None:
        self._logger.removeFilter(self._keep)

    @staticmethod
    def _keep(record: logging.LogRecord) -> bool:
        return not getattr(record, fault_reporter.IS_EVENT, False)


class _Reader:
    """The other end of standard output, which may be slow, or go away."""

    def __init__(self, lines: JsonlStream, on_closed: Callable[[], None]) -> None:
        self.name = lines.name
        self._lines = lines
        self._on_closed = on_closed

    def send(self, envelope: Envelope) -> None:
        try:
            self._lines.send(envelope)
        except ReaderGoneError:
            self._on_closed()

    def close(self) -> None:
        self._lines.close()


def _stream_apart(stdout: TextIO) -> TextIO:
    """Return another stream to the same place.

    While a terminal is stopped, the thread that draws holds the lock of its stream. Python
    flushes its own at exit, and would wait for that lock for ever.
    """
    return os.fdopen(os.dup(stdout.fileno()), "w", encoding=stdout.encoding, errors=stdout.errors)
