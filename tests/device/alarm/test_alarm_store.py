"""The memory of an alarm on disk."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge_asd.alarm.change import Cleared, Unshelved
from edge_asd.alarm.life_cycle import Alarm, AlarmMemory, OpenAlarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.store import AlarmStore

START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
MEMORY = AlarmMemory(OpenAlarm("pump-1", 10.25, 7.5, True), 20.000001, 3600.0)
POLICY = AlarmPolicy(2.0, 1.0, min_duration_s=0.0, holdoff_s=60.0)


def clock_from(start: datetime) -> Callable[[float], datetime]:
    return lambda time_s: start + timedelta(seconds=time_s)


def store(path: Path, *, later_s: float = 0.0) -> AlarmStore:
    """The store of a stream that begins so much later."""
    return AlarmStore(path / "alarm.json", clock_from(START + timedelta(seconds=later_s)))


@pytest.mark.parametrize(
    "memory",
    [MEMORY, AlarmMemory(), AlarmMemory(OpenAlarm("early", -3.25, 7.1, False), 1.5, 2.5)],
)
def test_what_was_saved_is_loaded(tmp_path: Path, memory: AlarmMemory) -> None:
    store(tmp_path).save(memory)

    assert store(tmp_path).load() == memory


def test_a_score_without_bounds_can_be_remembered(tmp_path: Path) -> None:
    store(tmp_path).save(AlarmMemory(OpenAlarm("pump-1", 0.0, math.inf)))

    restored = store(tmp_path).load()

    assert restored is not None and restored.open is not None
    assert restored.open.max_score > 1e300


def test_without_a_file_there_is_no_memory(tmp_path: Path) -> None:
    assert store(tmp_path).load() is None


def test_times_are_utc_in_the_file(tmp_path: Path) -> None:
    elsewhere = timezone(timedelta(hours=9))
    AlarmStore(tmp_path / "alarm.json", clock_from(START.astimezone(elsewhere))).save(MEMORY)

    content = json.loads((tmp_path / "alarm.json").read_text())

    assert content["version"] == 1
    assert content["raised_at"] == "2026-11-22T08:30:10.250000+00:00"
    assert content["shelved_until"] == "2026-11-22T09:30:00+00:00"


def test_time_counts_while_no_monitor_runs(tmp_path: Path) -> None:
    store(tmp_path).save(MEMORY)

    memory = store(tmp_path, later_s=1000).load()

    assert memory is not None
    assert memory.open == OpenAlarm("pump-1", -989.75, 7.5, True)
    assert memory.shelved_until_s == 2600


def test_an_alarm_outlives_a_restart_under_its_name(tmp_path: Path) -> None:
    alarm = Alarm(POLICY, lambda time_s: f"alarm-{time_s:g}")
    alarm.update(5, 9)
    store(tmp_path).save(alarm.memory)

    again = Alarm(POLICY, lambda time_s: "another", store(tmp_path, later_s=100).load())

    assert (again.state, again.memory.open) == ("alarm", OpenAlarm("alarm-5", -95, 9))
    assert again.update(7, 0) == (Cleared(7, 0, "alarm-5", duration_s=102, max_score=9),)


def test_shelving_that_expired_while_no_monitor_ran_is_over(tmp_path: Path) -> None:
    alarm = Alarm(POLICY, lambda time_s: "alarm")
    alarm.shelve(0, until_s=50)
    store(tmp_path).save(alarm.memory)

    again = Alarm(POLICY, lambda time_s: "alarm", store(tmp_path, later_s=100).load())

    assert again.tick(0) == (Unshelved(0),)


def test_the_hold_off_goes_on_after_a_restart(tmp_path: Path) -> None:
    alarm = Alarm(POLICY, lambda time_s: "alarm")
    alarm.update(1, 9)
    alarm.update(2, 0)  # hold-off until 62
    store(tmp_path).save(alarm.memory)

    again = Alarm(POLICY, lambda time_s: "alarm", store(tmp_path, later_s=60).load())

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

    assert store(tmp_path).load() == AlarmMemory(OpenAlarm("pump-1", 10, 7.5, True))


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
        memory = store(tmp_path).load()

    assert memory is None
    assert [path.name for path in tmp_path.iterdir()] == ["alarm.json.broken"]
    assert len(caplog.records) == 1
    assert len(caplog.text.splitlines()) == 1


def test_a_folder_in_place_of_the_file_does_not_stop_the_monitor(tmp_path: Path) -> None:
    (tmp_path / "alarm.json").mkdir()

    assert store(tmp_path).load() is None


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path).save(MEMORY)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store(tmp_path).save(AlarmMemory())

    assert store(tmp_path).load() == MEMORY
    assert [path.name for path in tmp_path.iterdir()] == ["alarm.json"]
