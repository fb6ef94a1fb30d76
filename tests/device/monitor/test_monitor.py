"""The loop from blocks to events."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pytest
from device.stream import Level, MadeSource, cut
from numpy.typing import NDArray

from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.audio.block import Block, Gap
from edge_asd.errors import AudioError, OutputError
from edge_asd.events.dispatcher import Dispatcher
from edge_asd.events.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AudioGapEvent,
    Event,
    FaultClearedEvent,
    FaultRaisedEvent,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
    utc_text,
)
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.status import Status, StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.monitor.judge import Judge
from edge_asd.monitor.monitor import Monitor
from edge_asd.monitor.stop import Stop
from edge_asd.monitor.stream_clock import FixedClock
from edge_asd.monitor.timeline import Timeline
from edge_asd.outputs import Output
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import ScoredStream

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
POLICY = AlarmPolicy(threshold=0.5, clear_threshold=0.2, min_duration_s=0.5, holdoff_s=0.0)


Kind = TypeVar("Kind", bound=Event)


class Record:
    """An output that keeps events."""

    name = "record"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def counters(self) -> dict[str, int]:
        return {"sent": len(self.events)}

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Keep them."""

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]


class Failing(Record):
    """An output that raises from the second event on."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def emit(self, event: Event) -> None:
        if self.events:
            raise self.error
        super().emit(event)


def run(
    items: Iterable[Block | Gap],
    *outputs: Output,
    window_samples: int = 100,
    hop_samples: int = 50,
    duration_s: float | None = None,
    stop: Stop | None = None,
    usable: Callable[[float, float], bool] | None = None,
    watchers: Sequence[Watcher] = (),
) -> StoppedEvent:
    """Run a monitor over a stream of 100 samples per second."""
    clock, stop, faults = FixedClock(START), stop or Stop(), FaultReporter()
    opened: Any = SimpleNamespace(
        detector=Level(window_samples), bundle_name="none", learned=None, reference=None
    )
    monitor = Monitor(
        source=MadeSource(items),
        judge=Judge(opened, POLICY, lambda audio, result: None),
        stream=ScoredStream(opened.detector, hop_samples / 100, usable=usable),
        alarm=AlarmReporter(Alarm(POLICY, lambda _: "a"), None, utc=clock.utc),
        faults=faults,
        dispatcher=Dispatcher(
            watchers,
            outputs,
            report=faults.report,
            on_closed=partial(stop.end, "the output was closed"),
        ),
        timeline=Timeline(clock, "fake", 100, live=False),
        board=StatusBoard(Status(machine="fake", started=START)),
        stop=stop,
        duration_s=duration_s,
    )
    return monitor.run()


def levels(*parts: tuple[float, float]) -> np.ndarray:
    """(level, seconds) after each other, (2, n) at 100 samples per second."""
    return np.tile(np.concatenate([np.full(int(s * 100), v, np.float32) for v, s in parts]), (2, 1))


def test_events_come_in_order_with_sample_exact_times() -> None:
    record = Record()

    run(cut(levels((0.0, 2.0)), [7, 30]), record)

    kinds = [type(event) for event in record.events]
    assert kinds == [StartedEvent, ScoreEvent, ScoreEvent, ScoreEvent, StoppedEvent]
    assert [event.stream_time_s for event in record.events] == [0, 1.0, 1.5, 2.0, 2.0]
    assert utc_text(record.events[2].time) == "2026-11-22T08:00:01.500Z"
    scores = record.of(ScoreEvent)
    assert [event.window_start_s for event in scores] == [0, 0.5, 1]


def test_a_fault_is_raised_and_cleared_right_after_the_scores_that_decide() -> None:
    record = Record()

    stopped = run(cut(levels((0, 3), (1, 3), (0, 3)), [10]), record)

    (raised,) = record.of(AlarmRaisedEvent)
    (cleared,) = record.of(AlarmClearedEvent)
    assert 3 < raised.stream_time_s <= 5
    assert 6 < cleared.stream_time_s <= 7.5
    assert cleared.duration_s == cleared.stream_time_s - raised.stream_time_s
    before = record.events[record.events.index(raised) - 1]
    assert isinstance(before, ScoreEvent)
    assert (before.time, before.alarm, before.score) == (raised.time, True, raised.score)
    assert (stopped.alarms, stopped.alarm, stopped.max_score) == (1, False, 1.0)


def test_a_gap_is_an_event_and_starts_the_windows_anew() -> None:
    record = Record()
    audio = levels((0, 1.2))

    stopped = run([Block(0, audio), Gap(170, 50, "ring full"), Block(170, audio)], record)

    (gap,) = record.of(AudioGapEvent)
    assert (gap.stream_time_s, gap.lost_s, gap.reason) == (1.7, 0.5, "ring full")
    assert [event.stream_time_s for event in record.of(ScoreEvent)] == [1.0, 2.7]
    assert (stopped.gaps, stopped.dropped_frames, stopped.seconds) == (1, 50, 2.9)


def test_a_loss_of_unknown_length_says_so() -> None:
    record = Record()
    audio = levels((0, 1))

    run([Block(0, audio), Gap(100, 0, "overflow"), Block(100, audio)], record)

    (gap,) = record.of(AudioGapEvent)
    assert gap.lost_s is None


def test_windows_before_a_gap_do_not_count_towards_an_alarm_after_it() -> None:
    record = Record()
    loud = levels((1, 1))  # one window above: pending

    run([Block(0, loud), Gap(500, 400, "lost"), Block(500, loud)], record)

    assert record.of(AlarmRaisedEvent) == []


@pytest.mark.parametrize("lengths", [[10], [1000], [33]])
def test_the_duration_is_exact_for_any_block(lengths: list[int]) -> None:
    record = Record()

    stopped = run(cut(levels((0, 9)), lengths), record, duration_s=2.5)

    assert (stopped.seconds, stopped.windows) == (2.5, 4)
    assert stopped.reason == "end of the duration"


def test_a_duration_that_ends_in_a_gap_counts_the_gap_until_then() -> None:
    record = Record()
    audio = levels((0, 1))

    stopped = run([Block(0, audio), Gap(400, 300, "lost"), Block(400, audio)], record, duration_s=3)

    assert (stopped.seconds, stopped.windows, stopped.dropped_frames) == (3, 1, 200)
    assert [gap.lost_s for gap in record.of(AudioGapEvent)] == [2]


def test_a_stop_request_ends_the_run_with_a_summary() -> None:
    stop = Stop()

    def endless() -> Iterator[Block]:
        position = 0
        while True:
            yield Block(position, levels((0, 1)))
            position += 100
            if position == 300:
                stop.set()

    record = Record()
    stopped = run(endless(), record, stop=stop)

    assert (stopped.reason, stopped.windows) == ("interrupted", 5)
    assert record.events[-1] == stopped


def test_a_second_interrupt_ends_the_loop_at_once_and_stopped_says_so() -> None:
    record = Record()

    def interrupted() -> Iterator[Block]:
        yield from cut(levels((0.0, 2.0)), [100])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted(), record)

    assert record.of(StoppedEvent)[0].reason == "interrupted"


def test_a_source_that_ends_because_of_the_stop_request_was_interrupted() -> None:
    stop = Stop()

    def ended_by_the_same_ctrl_c() -> Iterator[Block]:
        yield from cut(levels((0, 3)), [50])
        stop.set()

    stopped = run(ended_by_the_same_ctrl_c(), stop=stop)

    assert stopped.reason == "interrupted"


def test_a_failing_source_is_told_before_the_error_leaves() -> None:
    def dying() -> Iterator[Block]:
        yield Block(0, levels((0, 1)))
        raise AudioError("the card is gone")

    record = Record()
    with pytest.raises(AudioError, match="the card is gone"):
        run(dying(), record)

    (stopped,) = record.of(StoppedEvent)
    assert (stopped.reason, stopped.windows) == ("failed: the card is gone", 1)


def test_a_failing_output_is_a_fault_told_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = Record()

    stopped = run(cut(levels((0, 3)), [50]), Failing(OutputError("disk full")), record)

    assert stopped.windows == 5
    assert len(record.of(ScoreEvent)) == 5
    (fault,) = record.of(FaultRaisedEvent)
    assert (fault.fault, fault.detail) == ("output:failing", "disk full")
    assert caplog.text.count("disk full") == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit])
@pytest.mark.parametrize("call", ["on_block", "on_gap", "on_window", "on_event"])
def test_whatever_fails_beside_the_monitor_is_a_fault_and_the_last_event_is_stopped(
    call: str, error: type[BaseException]
) -> None:
    class Broken(Watcher):
        """Fails in one of its methods."""

    def fail(*_: object) -> None:
        raise error("a mistake")

    setattr(Broken, call, fail)
    record = Record()
    audio = levels((0, 1.5))

    stopped = run(
        [Block(0, audio), Gap(200, 50, "lost"), Block(200, audio)],
        Failing(RuntimeError("another")),
        record,
        watchers=[Broken()],
    )

    faults = {fault.fault: fault.detail for fault in record.of(FaultRaisedEvent)}
    assert faults.keys() == {"part:Broken", "output:failing"}
    assert "a mistake" in faults["part:Broken"]
    assert (stopped.windows, stopped.reason) == (4, "end of the audio")
    assert record.events[-1] == stopped


def test_a_closed_output_ends_the_run_and_the_other_outputs_hear_of_it() -> None:
    record = Record()

    stopped = run(cut(levels((0, 9)), [50]), Failing(BrokenPipeError()), record)

    assert stopped.reason == "the output was closed"
    assert stopped.windows == 1
    assert record.events[-1] == stopped


def test_a_window_that_touches_unusable_sound_is_skipped_and_counted() -> None:
    record = Record()

    stopped = run(
        cut(levels((1, 4)), [50]), record, usable=lambda start_s, end_s: not start_s < 1.6 < end_s
    )

    assert [score.window_start_s for score in record.of(ScoreEvent)] == [0, 0.5, 2, 2.5, 3]
    assert (stopped.windows, stopped.skipped_windows) == (5, 2)
    (raised,) = record.of(AlarmRaisedEvent)
    assert raised.above_since_s == 1.0


@pytest.mark.parametrize("sample", [np.nan, np.inf, -np.inf])
def test_a_window_with_samples_that_are_no_numbers_is_skipped_with_a_fault(sample: float) -> None:
    record = Record()
    audio = levels((0, 70))
    audio[1, 160] = sample

    stopped = run(cut(audio, [50]), record)

    assert (stopped.reason, stopped.skipped_windows) == ("end of the audio", 2)
    (fault,) = record.of(FaultRaisedEvent)
    assert (fault.fault, fault.detail[:31]) == ("not_a_number", "samples of the window at 1.0 s:")
    assert [over.fault for over in record.of(FaultClearedEvent)] == ["not_a_number"]


def test_a_score_that_is_no_number_is_skipped_with_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    score = Level.score

    def broken(detector: Level, audio: NDArray[np.float32]) -> WindowScore:
        result = score(detector, audio)
        return replace(result, score=np.inf) if audio[0, 0] > 0.5 else result

    monkeypatch.setattr(Level, "score", broken)
    record = Record()

    stopped = run(cut(levels((0, 2), (1, 1), (0, 2)), [50]), record)

    assert (stopped.windows, stopped.skipped_windows) == (7, 2)
    assert [fault.fault for fault in record.of(FaultRaisedEvent)] == ["not_a_number"]


def test_a_skipped_window_breaks_what_leads_to_an_alarm() -> None:
    record = Record()

    run(cut(levels((1, 2)), [50]), record, usable=lambda start_s, end_s: start_s != 0.5)

    assert [score.window_start_s for score in record.of(ScoreEvent)] == [0, 1]
    assert record.of(AlarmRaisedEvent) == []


def test_a_recording_without_a_window_has_no_score() -> None:
    stopped = run(cut(levels((0, 0.9)), [50]))

    assert (stopped.windows, stopped.max_score) == (0, None)


def test_memory_does_not_grow_with_the_number_of_windows() -> None:
    class Forget(Record):
        def emit(self, event: Event) -> None:
            """Forget it."""

    def blocks(n: int) -> Iterator[Block]:
        block = levels((0, 1))
        return (Block(i * 100, block) for i in range(n))

    run(blocks(50), Forget())  # warm up
    tracemalloc.start()
    run(blocks(100), Forget())
    short = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    run(blocks(1000), Forget())
    long = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert long < short + 50_000
