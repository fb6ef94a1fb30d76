"""What is wrong with a disk, told by the thread that writes to it and asked by any other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["DiskHealth"]

# A memory card that tidies up answers after some seconds; people hear of a dead one within ten.
_PATIENCE_S = 7.0


class DiskHealth:
    """Why the last write failed, or that one does not come back.

    Parameters
    ----------
    patience_s : so long a write may take
    clock : seconds that never run backwards

    Attributes
    ----------
    reason : why something cannot be written, in one line; None: nothing is known to fail
    """

    def __init__(
        self, *, patience_s: float = _PATIENCE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.reason: str | None = None
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._writing: tuple[str, float] | None = None  # what, since when

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Use the disk within this context, which may take for ever."""
        with self._lock:
            self._writing = what, self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._writing = None

    @property
    def problem(self) -> str | None:
        """What is wrong now, in one line; None: nothing. Thread: any."""
        with self._lock:
            writing = self._writing
        if writing is not None and self._clock() - writing[1] >= self._patience_s:
            return (
                f"the disk hangs: {writing[0]} has not been written for {self._patience_s:g} s; "
                "look at the card or the disk, and at the kernel's log"
            )
        return self.reason
