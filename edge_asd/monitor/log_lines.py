"""Log lines on standard error while sound is heard: nobody waits for whoever reads them.

A terminal that is stopped (Ctrl-S), or a pipe whose reader has stopped, would stop the thread
that logs.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import UnsupportedOperation

from edge_asd.outputs.patient_write import for_ever, write_some

__all__ = ["LogLines", "log_without_waiting"]

_MOST_LINES = 1000  # that wait
_DEADLINE_S = 0.5


class LogLines(logging.Handler):
    """Writes log lines in a thread of its own; the oldest of too many are left out, and counted.

    Parameters
    ----------
    descriptor : where they go
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._records: deque[logging.LogRecord | None] = deque()  # None: the end
        self._n_lost = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; never waits."""
        with self._changed:
            if len(self._records) >= _MOST_LINES:
                self._records.popleft()
                self._n_lost += 1
            self._records.append(record)
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, within half a second."""
        with self._changed:
            self._records.append(None)
            self._changed.notify()
        self._thread.join(_DEADLINE_S)
        super().close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._records)
                record = self._records.popleft()
                n_lost, self._n_lost = self._n_lost, 0
            if n_lost:
                self._write(f"{n_lost} lines of the log are left out: nobody read them")
            if record is None:
                return
            try:
                self._write(self.format(record))
            except Exception:  # of a record that cannot be formatted
                self.handleError(record)

    def _write(self, line: str) -> None:
        rest = f"{line}\n".encode(errors="backslashreplace")
        with suppress(OSError):  # it is closed: there is nobody to tell
            while rest:
                rest = rest[write_some(self._descriptor, rest, for_ever) :]


@contextmanager
def log_without_waiting() -> Iterator[None]:
    """Within this context what is logged to standard error is written by another thread."""
    root = logging.getLogger()
    replaced: list[tuple[logging.Handler, LogLines]] = []
    for handler in root.handlers:
        if type(handler) is logging.StreamHandler:
            with suppress(UnsupportedOperation):  # it is in memory
                lines = LogLines(handler.stream.fileno())
                lines.setFormatter(handler.formatter)
                replaced.append((handler, lines))
    logging.captureWarnings(True)  # they are printed on standard error, too
    for handler, lines in replaced:
        root.removeHandler(handler)
        root.addHandler(lines)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler, lines in replaced:
            lines.close()
            root.removeHandler(lines)
            root.addHandler(handler)
