"""The recorder in a whole monitor: what happened is what the history says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from device.history_steps import HISTORY, rows
from device.mini_bundle import MACHINE
from device.rig import Rig, sound_of
from device.waiting import wait_until

from benchmarks.simulated_card import Outage, SimulatedTime
from edge_asd.events.event import AlarmRaisedEvent, FaultRaisedEvent
from edge_asd.history.database import HistoryDatabase
from edge_asd.history.reading import History, read_history
from edge_asd.history.recorder import HistoryRecorder
from edge_asd.history.writer import HistoryWriter
from edge_asd.monitor.monitor import Monitor

START = datetime(2026, 11, 22, tzinfo=UTC)  # of simulated time


def history_of(root: Path, since: datetime = START, days: int = 1) -> History:
    since_s = round(since.timestamp())
    return read_history(root / MACHINE / HISTORY, since_s, since_s + days * 86_400 - 1)


def test_the_history_of_a_run_says_what_happened(tmp_path: Path, mini_bundle: Path) -> None:
    times: list[SimulatedTime] = []
    rig = Rig(
        mini_bundle,
        tmp_path,
        sound=sound_of(lambda now_s: 60 <= now_s < 90),
        outages=[Outage(130.0, 40.0, unplugged=True)],
        on_monitor=lambda monitor, time: times.append(time),
    )
    stopped = rig.run(235.0)

    history = history_of(tmp_path)

    (day,) = history.days
    assert len(history.summaries) == 4
    assert (day.windows, day.skipped) == (stopped.windows, stopped.skipped_windows)
    assert day.score_max == stopped.max_score
    assert day.heard_s + day.deaf_s == pytest.approx(times[0].now_s, abs=2.0)
    assert day.deaf_s == pytest.approx(day.faults["capture_lost"], abs=5.0)
    assert day.events["alarm_raised"] == len(rig.kept.of(AlarmRaisedEvent)) >= 1
    assert day.faults["capture_lost"] > 40.0
    assert day.threshold is not None
    assert day.near_dbfs is not None
    durable = [event.id for event in rig.kept.events if event.durable]
    assert sorted(event["id"] for event in history.events) == sorted(durable)
    assert sum(spectrum.windows for spectrum in history.spectra) == stopped.windows


@pytest.mark.parametrize("step_s", [-100.0, -56.9 * 365 * 86_400, 30 * 86_400.0])
def test_a_clock_that_is_set_loses_and_repeats_nothing(
    tmp_path: Path, mini_bundle: Path, step_s: float
) -> None:
    def set_clock(monitor: Monitor, time: SimulatedTime) -> None:
        time.at(150.0, lambda: time.set_clock(step_s))

    stopped = Rig(mini_bundle, tmp_path, on_monitor=set_clock).run(300.0)

    path = tmp_path / MACHINE / HISTORY
    for table in ("minutes", "hours", "days", "quarter_spectra"):
        assert rows(path, f"SELECT SUM(windows) FROM {table}") == [(stopped.windows,)]
    (running_s,) = rows(path, "SELECT SUM(heard_s + deaf_s) FROM days")[0]
    assert running_s == pytest.approx(300.0, abs=2.0)
    starts = {start for (start,) in rows(path, "SELECT start FROM minutes")}
    later = START + timedelta(seconds=240.0 + step_s)
    assert int(later.timestamp()) // 60 * 60 in starts


def test_another_run_goes_on_with_the_same_history(tmp_path: Path, mini_bundle: Path) -> None:
    first = Rig(mini_bundle, tmp_path).run(90.0)
    second = Rig(mini_bundle, tmp_path).run(90.0)  # the same time once more

    (day,) = history_of(tmp_path).days

    assert day.windows == first.windows + second.windows


def when_the_writer(does: Callable[[HistoryWriter], object]) -> dict[str, Any]:
    """Wait in the middle of a run, whose time is not that of the disk."""

    def wait(monitor: Monitor, time: SimulatedTime) -> None:
        (recorder,) = (
            watcher
            for watcher in monitor.dispatcher.watchers
            if isinstance(watcher, HistoryRecorder)
        )
        time.at(150.0, lambda: wait_until(lambda: does(recorder._writer)))

    return {"on_monitor": wait}


def test_a_damaged_history_is_a_fault_that_costs_no_alarm(
    tmp_path: Path, mini_bundle: Path
) -> None:
    folder = tmp_path / MACHINE
    folder.mkdir()
    (folder / HISTORY).write_bytes(b"no database at all" * 400)
    rig = Rig(
        mini_bundle,
        tmp_path,
        sound=sound_of(lambda now_s: now_s >= 100),
        **when_the_writer(lambda writer: writer.problem),
    )

    rig.run(235.0)

    (fault,) = [f for f in rig.kept.of(FaultRaisedEvent) if f.fault == "history"]
    assert (fault.severity, "history.damaged.db" in fault.detail) == ("minor", True)
    assert rig.kept.of(AlarmRaisedEvent)
    assert len(history_of(tmp_path).summaries) == 4


def test_a_full_disk_stops_the_history_and_no_alarm(
    tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_room = {"reserve_bytes": 1 << 60}
    monkeypatch.setattr(HistoryDatabase.__init__, "__kwdefaults__", no_room)
    rig = Rig(
        mini_bundle,
        tmp_path,
        sound=sound_of(lambda now_s: now_s >= 100),
        **when_the_writer(lambda writer: writer.problem),
    )

    rig.run(235.0)

    assert "history" in {fault.fault for fault in rig.kept.of(FaultRaisedEvent)}
    assert rig.kept.of(AlarmRaisedEvent)
