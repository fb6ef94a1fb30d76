"""Writing to what may take its time: whole, in order, and not for ever once the end has come."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_asd.outputs.patient_write import for_ever, never, open_to_append, until, write_some

_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
LONG = os.urandom(50_000)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds a page: its reading and its writing end."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, _F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_what_a_pipe_does_not_hold_is_written_as_it_is_read(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    read = bytearray()

    def reader() -> None:
        while len(read) < len(LONG):
            read.extend(os.read(reading, 1000))

    thread = threading.Thread(target=reader)
    thread.start()
    rest = LONG
    while rest:
        rest = rest[write_some(writing, rest, for_ever) :]
    thread.join()

    assert read == LONG


def test_a_pipe_that_is_full_is_given_up_at_the_end(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    write_some(writing, LONG, never)

    with pytest.raises(TimeoutError, match="nobody reads it"):
        write_some(writing, LONG, never)


def test_a_file_takes_all_at_once(tmp_path: Path) -> None:
    with open_to_append(tmp_path / "file", never) as file:
        assert write_some(file.fileno(), LONG, never) == len(LONG)


def test_waiting_goes_on_for_two_seconds_after_the_end() -> None:
    now_s, over = [0.0], threading.Event()
    waits = until(over.is_set, lambda: now_s[0])

    assert waits()
    over.set()
    assert waits()
    now_s[0] = 1.9
    assert waits()
    now_s[0] = 2.1
    assert not waits()
