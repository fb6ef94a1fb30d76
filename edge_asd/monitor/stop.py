"""Ends a run cleanly: at Ctrl-C, when the service manager asks, when nobody reads any more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Stop", "stop_on_signals"]


class Stop(threading.Event):
    """Set when the run must end; `reason` says why."""

    reason = "interrupted"

    def end(self, reason: str) -> None:
        """End the run and say why. Thread: any."""
        self.reason = reason
        self.set()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM set; a second signal acts as it always does."""
    stop = Stop()
    previous: dict[int, Callable[..., object] | int | None] = {}

    def on_signal(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[number])

    for wanted in (signal.SIGINT, signal.SIGTERM):
        previous[wanted] = signal.signal(wanted, on_signal)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
