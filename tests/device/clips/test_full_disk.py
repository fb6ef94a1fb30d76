"""What a full, slow or damaged disk costs: sound before facts, and never a wait."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.clip_stage import (
    ALARM,
    RATE_HZ,
    START,
    Stage,
    cleared,
    moment,
    raised,
)
from device.small_disk import small_disk
from device.waiting import wait_until

from edge_asd.clips import unfinished_event
from edge_asd.clips import writer as clips_writer
from edge_asd.clips.retention import Retention
from edge_asd.clips.writer import AlarmNote, ClipEnd, ClipSound, ClipStart, EventWriter
from edge_asd.state.disk_health import DiskHealth


@pytest.fixture
def megabyte(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    with small_disk(tmp_path, size_kib=1024) as disk:
        yield disk


def noise_frames(seconds: float) -> np.ndarray:
    """Sound that FLAC cannot make smaller."""
    rng = np.random.default_rng(0)
    return rng.integers(-32768, 32767, (round(seconds * RATE_HZ), 2), dtype=np.int16)


def begin(alarm_id: str = ALARM) -> ClipStart:
    return ClipStart(raised(10.0, alarm_id), START, 0.0)


def test_old_sound_makes_room_for_new(tmp_path: Path) -> None:
    old = tmp_path / "pump-20260101T000000000Z"
    old.mkdir()
    (old / "event.json").write_text("{}")
    (old / "audio.flac").write_bytes(b"a" * 900_000)
    stage = Stage(tmp_path, max_bytes=1_000_000)

    stage.hear(10.0)
    stage.raised()
    stage.hear(11.0)
    stage.close()

    assert [path.name for path in old.iterdir()] == ["event.json"]
    assert stage.record()["clip"]["state"] == "complete"
    assert stage.changes == []


def test_without_room_the_json_is_kept_and_the_fault_is_said_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, reserve_bytes=10**15)
    for i in range(3):
        stage.hear(stage.at_s + 10.0)
        stage.raised(f"pump-2026112{i}T083010000Z")
    stage.close()

    for i in range(3):
        record = stage.record(f"pump-2026112{i}T083010000Z")
        assert record["alarm"]["score"] == 2.5
        assert record["clip"]["state"] == "none: no room on the disk"
        assert record["clip"]["file"] is None
    (change,) = stage.changes
    assert (change.key, change.active) == ("disk:events", True)
    assert "clips.reserve_bytes" in change.detail


def test_a_disk_that_fills_up_costs_the_sound_and_is_said_until_there_is_room(
    megabyte: Path,
) -> None:
    folder, other = megabyte / "events", megabyte / "other"
    other.write_bytes(b"x" * 900_000)
    # The check before each write sees no limit: the disk itself must say that it is full.
    bounds = Retention(folder, max_bytes=10**9, reserve_bytes=0, free=lambda _: 10**9)
    writer = EventWriter(folder, bounds, sample_rate_hz=RATE_HZ, retry_s=0.02)
    writer.put(begin())
    for _ in range(100):
        writer.put(ClipSound(noise_frames(0.5)))
    writer.put(ClipEnd(()))

    reason = wait_until(lambda: writer.problem)
    other.unlink()
    wait_until(lambda: writer.problem is None)
    second = "pump-20261122T090000000Z"
    writer.put(begin(second))
    writer.put(ClipSound(noise_frames(0.5)))
    writer.put(ClipEnd(()))
    writer.close()

    assert reason is not None and "an event cannot be written" in reason
    first = json.loads((folder / ALARM / "event.json").read_text())
    assert first["clip"]["state"] == "none: no room on the disk"
    assert first["alarm"]["alarm_id"] == ALARM
    sound, _ = soundfile.read(folder / second / "audio.flac", dtype="int16")
    np.testing.assert_array_equal(sound, noise_frames(0.5))


def test_the_reserve_of_a_real_disk_cuts_the_sound_short(megabyte: Path) -> None:
    folder = megabyte / "events"
    writer = EventWriter(
        folder,
        Retention(folder, max_bytes=10**9, reserve_bytes=300_000),
        sample_rate_hz=RATE_HZ,
    )
    writer.put(begin())
    for _ in range(60):
        writer.put(ClipSound(noise_frames(0.5)))
    writer.put(ClipEnd(()))
    writer.close()

    clip = json.loads((folder / ALARM / "event.json").read_text())["clip"]
    assert clip["state"] == "cut short: no room on the disk"
    assert soundfile.info(folder / ALARM / "audio.flac").duration == clip["seconds"] > 5
    disk = os.statvfs(megabyte)
    assert disk.f_bavail * disk.f_frsize >= 290_000
    assert "clips.reserve_bytes" in (writer.problem or "")


def test_a_truncated_sound_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = unfinished_event._require_whole

    def lose_the_end(path: Path, n_frames: int) -> None:
        os.truncate(path, path.stat().st_size - 100)
        check(path, n_frames)

    monkeypatch.setattr(unfinished_event, "_require_whole", lose_the_end)
    bounds = Retention(tmp_path, max_bytes=10**9, reserve_bytes=0)
    writer = EventWriter(tmp_path, bounds, sample_rate_hz=RATE_HZ)
    writer.put(begin())
    writer.put(ClipSound(noise_frames(1.0)))
    writer.put(ClipEnd(()))
    writer.close()

    assert "an event cannot be written" in (writer.problem or "")
    assert sorted(p.name for p in (tmp_path / ALARM).iterdir()) == ["event.json", "spectrogram.png"]


def test_a_folder_that_cannot_be_made_is_a_fault_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("not a folder")
    stage = Stage(tmp_path / "events")

    stage.hear(10.0)
    stage.raised()
    stage.hear(12.0)
    stage.close()

    assert [(change.key, change.active) for change in stage.changes] == [("disk:events", True)]


def test_a_slow_disk_never_holds_up_the_monitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    write = unfinished_event.UnfinishedEvent.write_picture

    def slow(self: unfinished_event.UnfinishedEvent) -> None:
        go_on.wait(600)
        write(self)

    monkeypatch.setattr(unfinished_event.UnfinishedEvent, "write_picture", slow)
    stage = Stage(tmp_path, max_clip_s=600.0)
    stage.hear(10.0)
    stage.raised()
    start_s = time.monotonic()

    with caplog.at_level(logging.WARNING):
        stage.hear(210.0)  # 2000 blocks; the queue holds fewer
        stage.cleared()
        stage.hear(213.0)

    assert time.monotonic() - start_s < 60
    go_on.set()
    stage.close()
    clip = stage.record()["clip"]
    lost_s = sum(gap["lost_s"] for gap in clip["gaps"])
    assert lost_s > 50
    assert clip["seconds"] + lost_s == pytest.approx(207.0)
    assert stage.record()["cleared"] is not None


def test_a_disk_that_hangs_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    monkeypatch.setattr(clips_writer, "DiskHealth", lambda: DiskHealth(patience_s=0.0))
    monkeypatch.setattr(EventWriter, "_do", lambda self, job: held.wait())
    stage = Stage(tmp_path)
    stage.hear(10.0)
    stage.raised()

    def hangs() -> bool:
        stage.recorder.on_tick(moment(stage.at_s))
        return bool(stage.changes)

    wait_until(hangs)

    held.set()
    stage.close()
    assert [(change.key, change.active) for change in stage.changes] == [
        ("disk:events", True),
        ("disk:events", False),
    ]
    assert stage.changes[0].detail.startswith("the disk hangs: an event in ")


def test_a_damaged_record_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / ALARM
    folder.mkdir()
    (folder / "event.json").write_text("{")
    bounds = Retention(tmp_path, max_bytes=10**9, reserve_bytes=0)
    writer = EventWriter(tmp_path, bounds, sample_rate_hz=RATE_HZ)
    second = "pump-20261122T090000000Z"

    with caplog.at_level(logging.WARNING):
        writer.put(AlarmNote(ALARM, cleared(5.0, ALARM)))
        writer.put(begin(second))
        writer.put(ClipEnd(()))
        writer.close()

    assert "event.json cannot be read" in caplog.text
    assert (tmp_path / second / "event.json").exists()


def test_what_waits_for_a_slow_disk_is_bounded_in_bytes_and_facts_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr(EventWriter, "_do", lambda self, job: held.wait())
    retention = Retention(tmp_path, max_bytes=10**9, reserve_bytes=0)
    writer = EventWriter(tmp_path, retention, sample_rate_hz=16000)
    minute = ClipSound(np.zeros((60 * 16000, 2), np.int16))  # 3.84 MB

    taken = [writer.put(minute) for _ in range(10)]

    held.set()
    writer.close()
    assert sum(taken) in (4, 5)  # one may be with the disk already
