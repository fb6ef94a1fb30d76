"""Calls that may never return, made in a thread that can be left behind.

A sound driver that hangs does so inside a C function that nothing can interrupt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["AbandonableCall"]

Result = TypeVar("Result")


class AbandonableCall(Generic[Result]):
    """A call that began in a daemon thread of its own.

    Parameters
    ----------
    function : what to call
    name : of the thread
    """

    def __init__(self, function: Callable[[], Result], name: str) -> None:
        self._function = function
        self._begun_at_s = time.monotonic()
        self._result: Result
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def age_s(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self._begun_at_s

    def returned(self, timeout_s: float) -> bool:
        """Wait a while; return whether it is over."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self) -> Result:
        """Return what the function returned, or raise what it raised; only once it is over."""
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._function()
        except Exception as error:  # it is raised where the result is asked for
            self._error = error
