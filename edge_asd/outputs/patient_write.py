"""Opens and writes files, pipes and terminals whose other side may take its time."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import TypeAlias

__all__ = ["Waits", "for_ever", "never", "open_to_append", "until", "write_some"]

Waits: TypeAlias = Callable[[], bool]  # whether to go on waiting

_POLL_MS = 200
_AFTER_THE_END_S = 2.0  # for a reader that still reads


def for_ever() -> bool:
    """Go on waiting."""
    return True


def never() -> bool:
    """Wait no longer."""
    return False


def until(ended: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> Waits:
    """Go on waiting until `ended`, and after that for two seconds in all."""
    give_up_s: float | None = None

    def waits() -> bool:
        nonlocal give_up_s
        if give_up_s is None and ended():
            give_up_s = clock() + _AFTER_THE_END_S
        return give_up_s is None or clock() < give_up_s

    return waits


def open_to_append(path: Path, waits: Waits) -> FileIO:
    """Open a file, made when there is none; wait for the reader of a pipe as long as `waits`.

    Raises
    ------
    OSError
        As the system does: ENXIO for a pipe that nobody reads.
    """
    while True:
        try:
            file = FileIO(path, "a", opener=_at_once)
        except OSError as error:
            if error.errno != errno.ENXIO or not waits():
                raise
            time.sleep(_POLL_MS / 1000)
        else:
            os.set_blocking(file.fileno(), True)
            return file


def write_some(descriptor: int, content: bytes, waits: Waits) -> int:
    """Write the beginning of `content`; return how many bytes were taken.

    Raises
    ------
    TimeoutError
        When nothing is taken and `waits` has come to an end.
    OSError
        As the system does.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while not poll.poll(_POLL_MS):
        if not waits():
            raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.write(descriptor, content)
    # A pipe that is ready takes so much at once, which never waits for its reader.
    return os.write(descriptor, content[: select.PIPE_BUF])


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
