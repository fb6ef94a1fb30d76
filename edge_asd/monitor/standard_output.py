"""Standard output of ``listen``: a live view in a terminal, JSON lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TextIO

from rich.console import Console

from edge_asd.events.fault import Report
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.monitor.meter import Meter
from edge_asd.monitor.stop import Stop
from edge_asd.outputs import Envelope, Output
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.jsonl import JsonlOutput

__all__ = ["standard_output"]


def standard_output(
    board: StatusBoard,
    stop: Stop,
    stack: ExitStack,
    *,
    as_json: bool,
    live: bool,
    report: Report,
) -> tuple[list[Watcher], list[Output]]:
    """Return what speaks to whoever started the program; `stack` ends it.

    Live sound does not wait for a reader that is slow; a recording does.

    Parameters
    ----------
    stop : set when whoever reads has gone
    """
    if sys.stdout is None:  # closed before the start
        return [], []
    if sys.stdout.isatty() and not as_json:
        clock = time.monotonic if live else None
        return [stack.enter_context(closing(Meter(Console(), board, clock)))], []
    if not live:
        stack.callback(_let_go_of_closed_stdout, sys.stdout)
        return [], [JsonlOutput(sys.stdout)]
    reader = _Reader(_stream_apart(sys.stdout), partial(stop.end, "the output was closed"))
    delivery = Delivery(reader, report=report, accepts=lambda _: True, spool=None)
    return [], [stack.enter_context(closing(delivery))]


class _Reader:
    """The other end of standard output, which may be slow, or go away."""

    name = "stdout"

    def __init__(self, stream: TextIO, on_closed: Callable[[], None]) -> None:
        self._stream = stream
        self._lines = JsonlOutput(stream)
        self._on_closed = on_closed

    def send(self, envelope: Envelope) -> None:
        try:
            self._lines.write(envelope)
        except BrokenPipeError:
            self._on_closed()

    def close(self) -> None:
        """Let go of the stream, whether or not somebody still reads."""
        with suppress(OSError):
            self._stream.close()


def _stream_apart(stdout: TextIO) -> TextIO:
    """Return another stream to the same place.

    While a reader stalls, the thread that writes holds the lock of its stream. Python flushes
    its own at exit, and would wait for that lock for ever.
    """
    return os.fdopen(os.dup(stdout.fileno()), "w", encoding=stdout.encoding, errors=stdout.errors)


def _let_go_of_closed_stdout(stdout: TextIO) -> None:
    """Keep Python from complaining at exit about lines that nobody will read."""
    try:
        stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
