"""End cleanly at Ctrl-C and when the service manager asks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stop_on_signals"]


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; a second one acts as it always does."""
    stop = threading.Event()
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
