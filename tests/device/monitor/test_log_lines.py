"""What is logged while sound is heard waits for no reader."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from edge_asd.monitor.log_lines import LogLines, log_without_waiting


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its reading and its writing end."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text})


def test_lines_are_written_in_order_before_the_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = LogLines(writing)
    for number in range(3):
        lines.emit(record(f"line {number}"))
    lines.close()
    os.close(writing)

    assert os.read(reading, 4096) == b"line 0\nline 1\nline 2\n"


def test_nobody_waits_for_a_reader_that_stopped_and_what_it_lost_is_counted(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    lines = LogLines(writing)
    for number in range(3000):  # returns, or the test never ends
        lines.emit(record(f"{number} {'x' * 1000}"))
    lines.close()

    with os.fdopen(reading, "rb", closefd=False) as reader:
        text = b"".join(iter(reader.readline, b"2999 " + b"x" * 1000 + b"\n"))
    os.close(writing)
    assert b" lines of the log are left out: nobody read them\n" in text


def test_the_log_of_a_program_goes_on_where_it_went(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    root = logging.getLogger()
    with os.fdopen(writing, "w") as stream:
        handler = logging.StreamHandler(stream)
        root.addHandler(handler)
        with log_without_waiting():
            logging.getLogger("edge_asd").warning("within")
            assert handler not in root.handlers
        logging.getLogger("edge_asd").warning("after")
        root.removeHandler(handler)

    assert os.read(reading, 4096) == b"within\nafter\n"
