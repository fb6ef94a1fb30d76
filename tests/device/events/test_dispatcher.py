"""Events reach every watcher and every output, whichever of them fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from device.made_events import BASE, FAULT, FAULT_OVER, NOTICE, SCORE, STOPPED

from edge_asd.errors import OutputError
from edge_asd.events.dispatcher import Dispatcher
from edge_asd.events.event import Event
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher


class Collected:
    """An output that keeps events, or fails as the test says."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name = name
        self.error = error
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        if self.error:
            raise self.error
        self.events.append(event)

    def counters(self) -> dict[str, int]:
        if self.error:
            raise self.error
        return {"sent": len(self.events), "waiting": 2}

    def close(self) -> None:
        """Keep them."""


class Observer(Watcher):
    """A watcher that fails while `error` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        if self.error:
            raise self.error
        self.events.append(event)

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterator[Event]:
        yield NOTICE
        if self.error:
            raise self.error


class Second(Observer):
    """Another one."""


AT = Moment(**BASE)


class Bench:
    """A dispatcher, the faults it reports, and how often it was told that a reader has gone."""

    def __init__(self, *parts: Any) -> None:
        self.faults: list[FaultChange] = []
        self.closed: list[None] = []
        self.dispatcher = Dispatcher(
            [part for part in parts if isinstance(part, Watcher)],
            [part for part in parts if not isinstance(part, Watcher)],
            report=self.faults.append,
            on_closed=lambda: self.closed.append(None),
        )

    @property
    def told(self) -> list[tuple[str, bool]]:
        return [(change.key, change.active) for change in self.faults]


@pytest.mark.parametrize("error", [OutputError("disk full"), ZeroDivisionError("oops")])
def test_an_output_that_fails_is_a_fault_with_its_name_and_the_others_go_on(
    error: Exception,
) -> None:
    failing, other, watcher = Collected("failing", error), Collected("other"), Observer()
    bench = Bench(failing, other, watcher)

    for event in (SCORE, NOTICE, STOPPED):
        bench.dispatcher.emit(event)

    assert set(bench.told) == {("output:failing", True)}
    assert str(error) in bench.faults[0].detail
    assert other.events == watcher.events == [SCORE, NOTICE, STOPPED]


def test_an_output_that_works_again_ends_its_fault_once() -> None:
    output = Collected("file", OutputError("disk full"))
    bench = Bench(output)
    bench.dispatcher.emit(SCORE)
    output.error = None

    bench.dispatcher.emit(SCORE)
    bench.dispatcher.emit(SCORE)

    assert bench.told == [("output:file", True), ("output:file", False)]


@pytest.mark.parametrize("call", ["on_event", "on_gap"])
def test_a_watcher_that_fails_is_a_fault_told_once_and_the_others_go_on(
    call: Literal["on_event", "on_gap"], caplog: pytest.LogCaptureFixture
) -> None:
    failing, other, output = Observer(KeyError("x")), Second(), Collected("file")
    bench = Bench(failing, other, output)
    arguments: tuple[Any, ...] = (SCORE,) if call == "on_event" else (AT, 0.5)

    for _ in range(3):
        bench.dispatcher.ask(call, *arguments)
    bench.dispatcher.emit(STOPPED)

    assert bench.told == [("part:Observer", True)]
    assert "KeyError" in bench.faults[0].detail
    assert caplog.text.count(f"{call} of Observer failed") == 1
    assert other.events[-1] == output.events[-1] == STOPPED


def test_a_watcher_that_works_again_ends_its_fault() -> None:
    watcher = Observer(ValueError("no"))
    bench = Bench(watcher)
    bench.dispatcher.emit(SCORE)
    bench.dispatcher.ask("on_gap", AT, None)
    watcher.error = None

    bench.dispatcher.emit(SCORE)
    assert bench.told == [("part:Observer", True)]  # the other call still fails
    bench.dispatcher.ask("on_gap", AT, None)

    assert bench.told == [("part:Observer", True), ("part:Observer", False)]


def test_the_events_of_all_watchers_are_returned_in_their_order() -> None:
    bench = Bench(Observer(ValueError("after its event")), Second())

    assert bench.dispatcher.ask("on_gap", AT, 1.0) == [NOTICE, NOTICE]
    assert bench.dispatcher.ask("on_window", AT, None, "normal") == []


def test_a_reader_that_has_gone_is_left_out_and_told_once() -> None:
    gone, other = Collected("stdout", BrokenPipeError()), Collected("other")
    bench = Bench(gone, other)

    bench.dispatcher.emit(SCORE)
    bench.dispatcher.emit(STOPPED)

    assert (len(bench.closed), bench.told) == (1, [])
    assert other.events == [SCORE, STOPPED]
    assert list(bench.dispatcher.counters) == ["other"]


def test_counters_are_those_of_the_outputs_that_have_some() -> None:
    bench = Bench(Collected("broken", ZeroDivisionError()), Collected("a"), Collected("b"))

    assert bench.dispatcher.counters == {
        "broken": {},
        "a": {"sent": 0, "waiting": 2},
        "b": {"sent": 0, "waiting": 2},
    }
    assert bench.dispatcher.undelivered == 4


def test_two_events_of_one_moment_have_two_ids_that_sort_as_they_came() -> None:
    output, watcher = Collected("file"), Observer()
    bench = Bench(output, watcher)

    for event in (FAULT, FAULT_OVER, FAULT, FAULT):
        bench.dispatcher.emit(event)

    ids = [event.id for event in output.events if event.event == "fault_raised"]
    assert ids[0] == FAULT.id
    assert ids == sorted(set(ids))
    assert len(ids) == 3
    assert watcher.events == output.events
