"""The writer: nobody waits for the disk, and what fails is said."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from device.history_steps import HISTORY, NOON, RATE_HZ, a_minute, minutes_from, rows
from device.made_events import RAISED
from device.small_disk import fill, small_disk
from device.waiting import DEADLINE_S, wait_until

from edge_asd.events.event import Event
from edge_asd.history.database import HistoryDatabase
from edge_asd.history.minute import Minute
from edge_asd.history.writer import HistoryWriter


class Disk(HistoryDatabase):
    """A database whose disk does what the test says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, RATE_HZ, reserve_bytes=0)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.broken: Exception | None = None

    def write(self, minutes: Sequence[Minute], events: Iterable[Event]) -> None:
        self.asked.set()
        assert self.answers.wait(DEADLINE_S)
        if self.broken is not None:
            raise self.broken
        super().write(minutes, events)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / HISTORY)


@pytest.fixture
def writer(disk: Disk) -> Iterator[HistoryWriter]:
    with closing(HistoryWriter(disk, retry_s=0.01, most_waiting=10)) as made:
        yield made
        disk.answers.set()


def test_what_is_put_is_on_the_disk(writer: HistoryWriter, disk: Disk) -> None:
    writer.put(a_minute(), RAISED)

    assert writer.wait(DEADLINE_S)
    assert rows(disk.path, "SELECT windows FROM minutes") == [(2,)]
    assert rows(disk.path, "SELECT event FROM events") == [("alarm_raised",)]
    assert writer.problem is None


def test_a_disk_that_hangs_keeps_nobody_waiting_and_costs_the_oldest(
    writer: HistoryWriter, disk: Disk
) -> None:
    disk.answers.clear()
    writer.put(a_minute(NOON - 60))
    assert disk.asked.wait(DEADLINE_S)

    writer.put(*minutes_from(NOON, 30))
    disk.answers.set()

    assert writer.wait(DEADLINE_S)
    starts = [start for (start,) in rows(disk.path, "SELECT start FROM minutes")]
    assert starts == [NOON - 60, *(NOON + 60 * i for i in range(20, 30))]


def test_what_failed_is_said_and_tried_again(writer: HistoryWriter, disk: Disk) -> None:
    disk.broken = sqlite3.OperationalError("database or disk is full")
    writer.put(a_minute())

    problem = wait_until(lambda: writer.problem)
    disk.broken = None

    assert problem == f"cannot write {disk.path}: database or disk is full; alarms go on"
    assert writer.wait(DEADLINE_S)
    assert rows(disk.path, "SELECT windows FROM minutes") == [(2,)]
    assert wait_until(lambda: writer.problem is None)


def test_what_can_never_be_written_keeps_nothing_else_waiting(
    writer: HistoryWriter, disk: Disk
) -> None:
    disk.broken = ZeroDivisionError("oh")
    writer.put(a_minute())

    assert writer.wait(DEADLINE_S)
    assert writer.problem == "some minutes are lost: ZeroDivisionError: oh"
    disk.broken = None
    writer.put(a_minute(NOON + 60))
    assert writer.wait(DEADLINE_S)
    assert writer.problem is None


def test_a_damaged_file_is_moved_aside_and_said(tmp_path: Path, disk: Disk) -> None:
    disk.path.write_bytes(b"no database at all" * 400)
    with closing(HistoryWriter(disk)) as writer:
        writer.put(a_minute())
        assert writer.wait(DEADLINE_S)
        problem = writer.problem or ""

    assert "was damaged (file is not a database) and is kept as history.damaged.db" in problem
    assert (tmp_path / "history.damaged.db").read_bytes() == b"no database at all" * 400
    assert rows(disk.path, "SELECT windows FROM minutes") == [(2,)]


def test_damage_is_said_for_a_day(disk: Disk) -> None:
    now_s = 0.0
    disk.path.write_bytes(b"no database at all" * 400)
    with closing(HistoryWriter(disk, clock=lambda: now_s)) as writer:
        writer.put(a_minute())
        assert writer.wait(DEADLINE_S)
        assert writer.problem
        now_s = 86_400.0
        assert writer.problem is None


def test_the_end_writes_what_waits_once_more(disk: Disk) -> None:
    disk.broken = sqlite3.OperationalError("database or disk is full")
    writer = HistoryWriter(disk, retry_s=1e6)
    writer.put(a_minute())
    assert wait_until(lambda: writer.problem)
    disk.broken = None

    writer.close()

    assert rows(disk.path, "SELECT windows FROM minutes") == [(2,)]


def test_a_full_disk_costs_no_more_than_the_history(tmp_path: Path) -> None:
    with small_disk(tmp_path, size_kib=400) as folder:
        database = HistoryDatabase(folder / HISTORY, RATE_HZ, reserve_bytes=0)
        with closing(HistoryWriter(database, retry_s=0.01)) as writer:
            writer.put(a_minute())
            assert writer.wait(DEADLINE_S)
            filler = fill(folder)
            writer.put(*minutes_from(NOON, 600))
            problem = wait_until(lambda: writer.problem) or ""
            filler.unlink()
            with closing(sqlite3.connect(folder / HISTORY)) as other:
                found = other.execute("PRAGMA integrity_check").fetchall()

    assert "disk" in problem
    assert "alarms go on" in problem
    assert found == [("ok",)]
