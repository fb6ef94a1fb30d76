"""Calls that may never return, made in a thread that can be left behind.

A sound driver that hangs does so inside a C function that nothing can interrupt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

__all__ = ["AbandonableCall"]

Result = TypeVar("Result")


class AbandonableCall(Generic[Result]):
    """A call that runs in a daemon thread of its own and should end before a deadline."""

    deadline_s: float  # from its beginning

    def __init__(self, function: Callable[[], Result]) -> None:
        self._begun_at_s = time.monotonic()
        self._future: Future[Result] = Future()
        threading.Thread(target=self._run, args=(function,), daemon=True).start()

    @property
    def is_overdue(self) -> bool:
        """Whether it still runs after its deadline."""
        late = time.monotonic() - self._begun_at_s > self.deadline_s
        return late and not self._future.done()

    def has_returned(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for its end; return whether it is over."""
        wait([self._future], timeout_s)
        return self._future.done()

    def result(self) -> Result:
        """Wait for its end; return what the function returned, or raise what it raised."""
        return self._future.result()

    def _run(self, function: Callable[[], Result]) -> None:
        try:
            self._future.set_result(function())
        except Exception as error:  # raised again by `result`
            self._future.set_exception(error)
