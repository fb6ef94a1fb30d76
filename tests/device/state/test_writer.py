"""State files are written by a thread of their own, whatever the disk does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from device.small_disk import fill, small_disk
from device.waiting import wait_until

from edge_asd.events.disk_watcher import DiskWatcher
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.state.atomic import write_atomically
from edge_asd.state.disk_health import DiskHealth
from edge_asd.state.writer import StateWriter

NOW = Moment(datetime(2026, 11, 22, tzinfo=UTC), 0.0, "pump")


class HangingDisk:
    """Writes that come back when the disk does."""

    def __init__(self) -> None:
        self.written: list[tuple[str, bytes]] = []
        self.begun = threading.Event()
        self.answers = threading.Event()

    def write(self, path: Path, content: bytes) -> None:
        self.begun.set()
        self.answers.wait()
        self.written.append((path.name, content))


@contextmanager
def a_writer(folder: Path, **options: Any) -> Iterator[StateWriter]:
    with closing(StateWriter(folder, **options)) as writer:
        yield writer


@pytest.fixture
def disk() -> Iterator[HangingDisk]:
    disk = HangingDisk()
    yield disk
    disk.answers.set()


def test_what_is_put_is_on_the_disk_after_the_end(tmp_path: Path) -> None:
    with a_writer(tmp_path) as writer:
        writer.put(tmp_path / "a.json", b"1")
        writer.put(tmp_path / "b.json", b"2")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.json": b"1",
        "b.json": b"2",
    }


def test_nobody_waits_for_a_disk_that_hangs_and_the_newest_content_is_written(
    tmp_path: Path, disk: HangingDisk
) -> None:
    with a_writer(tmp_path, write=disk.write) as writer:
        writer.put(tmp_path / "a", b"first")
        disk.begun.wait()
        for number in range(1000):  # returns, or the test never ends
            writer.put(tmp_path / "a", b"%d" % number)
        disk.answers.set()
        assert writer.wait(60)

    assert disk.written == [("a", b"first"), ("a", b"999")]


def test_a_disk_that_hangs_is_a_fault_until_it_answers(tmp_path: Path, disk: HangingDisk) -> None:
    now, told = [0.0], list[FaultChange]()
    health = DiskHealth(clock=lambda: now[0])
    with a_writer(tmp_path, write=disk.write, health=health) as writer:
        watcher = DiskWatcher(told.append, "state", lambda: writer.problem)
        writer.put(tmp_path / "faults.json", b"")
        disk.begun.wait()
        watcher.on_tick(NOW)
        assert told == []
        now[0] = 10.0
        watcher.on_tick(NOW)
        disk.answers.set()
        wait_until(lambda: writer.problem is None)
        watcher.on_tick(NOW)

    assert [(change.key, change.active) for change in told] == [
        ("disk:state", True),
        ("disk:state", False),
    ]
    assert told[0].detail.startswith("the disk hangs: ")
    assert "faults.json has not been written for" in told[0].detail


def test_an_idle_disk_that_hangs_is_noticed_without_a_write(tmp_path: Path) -> None:
    answers, now = threading.Event(), [0.0]
    asked: list[Path] = []

    def look(folder: Path) -> None:
        asked.append(folder)
        answers.wait()

    health = DiskHealth(clock=lambda: now[0])
    with a_writer(tmp_path, look=look, look_s=0.01, health=health) as writer:
        wait_until(lambda: asked)
        now[0] = 10.0
        assert "the disk hangs" in (writer.problem or "")
        answers.set()
        wait_until(lambda: writer.problem is None)


def test_a_full_disk_is_tried_again_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path) as folder, a_writer(folder, retry_s=0.01) as writer:
        filler = fill(folder)
        writer.put(folder / "daily.json", bytes(5000))
        reason = wait_until(lambda: writer.problem)
        filler.unlink()
        wait_until(lambda: writer.problem is None)
        size = (folder / "daily.json").stat().st_size

    assert reason == f"cannot write {folder / 'daily.json'}: No space left on device"
    assert size == 5000


def test_a_file_that_fails_keeps_no_other_from_the_disk(tmp_path: Path) -> None:
    with a_writer(tmp_path) as writer:
        writer.put(tmp_path / "gone" / "a", b"")
        writer.put(tmp_path / "b", b"1")
        wait_until(lambda: (tmp_path / "b").exists())

        assert "gone/a: No such file or directory" in (writer.problem or "")


def test_a_state_folder_that_is_taken_away_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with a_writer(tmp_path / "state", look_s=0.01) as writer:
        (tmp_path / "state").rmdir()

        problem = wait_until(lambda: writer.problem)

    assert problem == f"cannot use the state folder {tmp_path}/state: No such file or directory"


def test_the_end_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, disk: HangingDisk, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StateWriter(tmp_path, write=disk.write)
    writer.put(tmp_path / "start.json", b"")

    writer.close(0.01)

    assert "start.json could not be written" in caplog.text


def test_what_waits_for_a_folder_that_is_done_with_is_not_written(
    tmp_path: Path, disk: HangingDisk
) -> None:
    with a_writer(tmp_path, write=disk.write) as writer:
        for name in ("a", "ended/b", "c"):
            writer.put(tmp_path / name, b"")
        writer.discard(tmp_path / "ended")
        disk.answers.set()

    assert [name for name, _ in disk.written] == ["a", "c"]


def test_a_mistake_in_writing_ends_no_writer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def write(path: Path, content: bytes) -> None:
        if path.name == "bad":
            raise ValueError("a mistake")
        write_atomically(path, content)

    with a_writer(tmp_path, write=write) as writer:
        writer.put(tmp_path / "bad", b"")
        writer.put(tmp_path / "good", b"")
        wait_until(lambda: (tmp_path / "good").exists())
        problem = writer.problem

    assert problem == f"cannot write {tmp_path / 'bad'}: ValueError: a mistake"


def test_what_waits_is_bounded(tmp_path: Path, disk: HangingDisk) -> None:
    with a_writer(tmp_path, write=disk.write) as writer:
        writer.put(tmp_path / "0", b"")
        disk.begun.wait()
        for number in range(1, 5):
            writer.put(tmp_path / str(number), bytes(10_000_000))
        disk.answers.set()

    assert [name for name, _ in disk.written] == ["0", "2", "3", "4"]
