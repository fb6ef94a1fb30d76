"""The memory of an alarm survives a restart."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge_asd.alarm.change import Cleared, Unshelved
from edge_asd.alarm.life_cycle import Alarm, AlarmMemory, OpenAlarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.alarm.store import AlarmStore
from edge_asd.outputs.outbox import Outbox

START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
MEMORY = AlarmMemory(OpenAlarm("pump-1", 10.25, 7.5, True), 20.000001, 3600.0)
POLICY = AlarmPolicy(2.0, 1.0, min_duration_s=0.0, holdoff_s=60.0)


def clock_from(start: datetime) -> Callable[[float], datetime]:
    return lambda time_s: start + timedelta(seconds=time_s)


@contextmanager
def opened(folder: Path, start: datetime = START) -> Iterator[tuple[Outbox, AlarmStore]]:
    """The outbox and the store of a stream that begins then."""
    with closing(Outbox(folder / "journal.sqlite3", lambda _: None)) as outbox:
        yield outbox, AlarmStore(outbox, clock_from(start), folder / "alarm.json")


def save(folder: Path, memory: AlarmMemory, start: datetime = START) -> None:
    with opened(folder, start) as (outbox, store), outbox.together(memory=store.content(memory)):
        pass


def load(folder: Path, *, later_s: float = 0.0) -> AlarmMemory | None:
    """What a stream that begins so much later is told."""
    with opened(folder, START + timedelta(seconds=later_s)) as (_, store):
        return store.load()


@pytest.mark.parametrize(
    "memory",
    [MEMORY, AlarmMemory(), AlarmMemory(OpenAlarm("early", -3.25, 7.1, False), 1.5, 2.5)],
)
def test_what_was_saved_is_loaded(tmp_path: Path, memory: AlarmMemory) -> None:
    save(tmp_path, memory)

    assert load(tmp_path) == memory


def test_a_score_without_bounds_can_be_remembered(tmp_path: Path) -> None:
    save(tmp_path, AlarmMemory(OpenAlarm("pump-1", 0.0, math.inf)))

    restored = load(tmp_path)

    assert restored is not None and restored.open is not None
    assert restored.open.max_score > 1e300


def test_without_a_file_there_is_no_memory(tmp_path: Path) -> None:
    assert load(tmp_path) is None


def test_times_are_kept_as_utc(tmp_path: Path) -> None:
    elsewhere = timezone(timedelta(hours=9))
    with opened(tmp_path, START.astimezone(elsewhere)) as (_, store):
        content = json.loads(store.content(MEMORY)["alarm"])

    assert content["version"] == 1
    assert content["raised_at"] == "2026-11-22T08:30:10.250000+00:00"
    assert content["shelved_until"] == "2026-11-22T09:30:00+00:00"


def test_time_counts_while_no_monitor_runs(tmp_path: Path) -> None:
    save(tmp_path, MEMORY)

    memory = load(tmp_path, later_s=1000)

    assert memory is not None
    assert memory.open == OpenAlarm("pump-1", -989.75, 7.5, True)
    assert memory.shelved_until_s == 2600


def test_an_alarm_outlives_a_restart_under_its_name(tmp_path: Path) -> None:
    alarm = Alarm(POLICY, lambda time_s: f"alarm-{time_s:g}")
    alarm.update(5, 9)
    save(tmp_path, alarm.memory)

    again = Alarm(POLICY, lambda time_s: "another", load(tmp_path, later_s=100))

    assert (again.state, again.memory.open) == ("alarm", OpenAlarm("alarm-5", -95, 9))
    assert again.update(7, 0) == (Cleared(7, 0, "alarm-5", duration_s=102, max_score=9),)


def test_shelving_that_expired_while_no_monitor_ran_is_over(tmp_path: Path) -> None:
    alarm = Alarm(POLICY, lambda time_s: "alarm")
    alarm.shelve(0, until_s=50)
    save(tmp_path, alarm.memory)

    again = Alarm(POLICY, lambda time_s: "alarm", load(tmp_path, later_s=100))

    assert again.tick(0) == (Unshelved(0),)


def test_the_hold_off_goes_on_after_a_restart(tmp_path: Path) -> None:
    alarm = Alarm(POLICY, lambda time_s: "alarm")
    alarm.update(1, 9)
    alarm.update(2, 0)  # hold-off until 62
    save(tmp_path, alarm.memory)

    again = Alarm(POLICY, lambda time_s: "alarm", load(tmp_path, later_s=60))

    assert again.update(1, 9) == ()
    assert len(again.update(2, 9)) == 1


def broken(**values: Any) -> str:
    content = {
        "version": 1,
        "alarm_id": "pump-1",
        "max_score": 7.5,
        "acknowledged": True,
        "raised_at": "2026-11-22T08:30:10+00:00",
        "holdoff_until": None,
        "shelved_until": None,
    }
    return json.dumps(content | values)


def test_the_file_that_the_next_test_breaks_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "alarm.json").write_text(broken())

    assert load(tmp_path) == AlarmMemory(OpenAlarm("pump-1", 10, 7.5, True))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "\0\0\0",
        "{}",
        broken(version=2),
        broken(raised_at=None),
        broken(raised_at="yesterday"),
        broken(raised_at="2026-11-22T08:30:10"),  # without a zone
        broken(raised_at=17),
        broken(max_score="high"),
        broken(max_score=True),
        broken(max_score=float("nan")),
        broken(acknowledged="yes"),
        broken(alarm_id=["pump"]),
        broken(alarm_id="x" * 10_000),
        broken(shelved_until="2026-13-01T00:00:00Z"),
    ],
)
def test_a_broken_file_is_moved_aside_with_a_warning(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alarm.json").write_text(content)

    with caplog.at_level(logging.WARNING):
        memory = load(tmp_path)

    assert memory is None
    assert [path.name for path in tmp_path.glob("alarm*")] == ["alarm.json.broken"]
    assert len(caplog.records) == 1
    assert len(caplog.text.splitlines()) == 1


def test_a_folder_in_place_of_the_file_does_not_stop_the_monitor(tmp_path: Path) -> None:
    (tmp_path / "alarm.json").mkdir()

    assert load(tmp_path) is None


def test_the_file_of_an_earlier_version_is_taken_over_once(tmp_path: Path) -> None:
    (tmp_path / "alarm.json").write_text(broken())
    with opened(tmp_path) as (outbox, store):
        reporter = AlarmReporter(
            Alarm(POLICY, lambda _: "another", store.load()), store, utc=clock_from(START)
        )
        with outbox.together(memory=reporter.unsaved()):
            pass

    with opened(tmp_path) as (_, store):
        memory = store.load()

    assert memory == AlarmMemory(OpenAlarm("pump-1", 0, 7.5, True))
    assert not (tmp_path / "alarm.json").exists()


def test_a_memory_of_another_version_is_forgotten_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as (outbox, _), outbox.together(memory={"alarm": b'{"version": 2}'}):
        pass

    assert load(tmp_path) is None
    assert "the state of the alarm is forgotten" in caplog.text
