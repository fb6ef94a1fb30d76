"""The end of a run has one deadline, which no part can exceed."""

from __future__ import annotations

import threading

import pytest

from edge_asd.monitor.ending import RunEnd


class Part:
    """Ends when another has, or when it is told to."""

    def __init__(self, name: str, *, waits_for: threading.Event | None = None) -> None:
        self.name = name
        self.closed = threading.Event()
        self._waits_for = waits_for

    def close(self) -> None:
        if self._waits_for:
            self._waits_for.wait()
        self.closed.set()


def test_parts_end_at_the_same_time() -> None:
    ending = RunEnd(within_s=60.0)
    first = ending.add(Part("first"))
    ending.add(Part("second", waits_for=first.closed))
    ending.add(Part("third", waits_for=first.closed))

    ending.close()

    assert first.closed.is_set()


def test_a_part_that_hangs_is_left_behind_and_named(caplog: pytest.LogCaptureFixture) -> None:
    ending, never = RunEnd(within_s=0.05), threading.Event()
    ending.add(Part("mqtt", waits_for=never))
    other = ending.add(Part("webhook"))

    ending.close()

    assert other.closed.wait(60)
    assert caplog.messages == ["mqtt does not end, and is left behind"]
    never.set()


def test_each_part_is_closed_once() -> None:
    ending = RunEnd()
    part = ending.add(Part("part"))
    ending.close()
    part.closed.clear()

    ending.close()

    assert not part.closed.is_set()
