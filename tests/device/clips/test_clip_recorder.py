"""What is kept of an alarm: the right sound, the picture and the facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from device.clip_stage import (
    ALARM,
    RATE_HZ,
    START,
    Stage,
    expected_frames,
    moment,
)
from device.waiting import wait_until

from edge_asd.events.event import (
    AlarmAcknowledgedEvent,
    AlarmShelvedEvent,
)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "events")
    yield stage
    stage.close()


def test_the_clip_begins_before_the_first_window_and_ends_after_the_alarm(stage: Stage) -> None:
    stage.hear(20.0)
    stage.raised(since_s=18.0)
    stage.hear(25.0)
    stage.cleared()
    stage.hear(40.0)
    stage.close()

    # 18 s is the end of the first window: 2 s before is its start, and 3 s of pre-roll.
    np.testing.assert_array_equal(stage.sound(), expected_frames(13.0, 27.0))
    clip = stage.record()["clip"]
    assert clip["state"] == "complete"
    assert (clip["start"], clip["start_stream_s"]) == ("2026-11-22T08:30:13.000Z", 13.0)
    assert (clip["seconds"], clip["sample_rate_hz"], clip["gaps"]) == (14.0, RATE_HZ, [])


def test_json_and_picture_exist_while_the_alarm_is_on(stage: Stage) -> None:
    stage.hear(10.0)

    stage.raised()

    folder = stage.folder / ALARM
    wait_until((folder / "spectrogram.png").exists)
    wait_until(lambda: stage.record()["picture"] == "spectrogram.png")
    record = stage.record()
    assert record["alarm"]["alarm_id"] == ALARM
    assert record["cleared"] is None
    assert record["clip"]["state"] == "recording"
    assert not (folder / "audio.flac").exists()


def test_an_alarm_at_the_start_has_as_much_pre_roll_as_there_is(stage: Stage) -> None:
    stage.hear(2.0)
    stage.raised()
    stage.cleared()
    stage.hear(10.0)
    stage.close()

    np.testing.assert_array_equal(stage.sound(), expected_frames(0.0, 4.0))


def test_a_long_alarm_is_cut(tmp_path: Path) -> None:
    stage = Stage(tmp_path, max_clip_s=8.0)
    stage.hear(10.0)
    stage.raised()
    stage.hear(30.0)
    stage.close()

    np.testing.assert_array_equal(stage.sound(), expected_frames(5.0, 13.0))


def test_a_clip_shorter_than_its_pre_roll_still_reaches_the_alarm(tmp_path: Path) -> None:
    stage = Stage(tmp_path, max_clip_s=1.0)
    stage.hear(10.0)
    stage.raised()
    stage.hear(20.0)
    stage.close()

    np.testing.assert_array_equal(stage.sound(), expected_frames(9.0, 10.0))


def test_closing_keeps_what_was_heard(stage: Stage) -> None:
    stage.hear(10.0)
    stage.raised()
    stage.hear(11.5)
    stage.close()

    np.testing.assert_array_equal(stage.sound(), expected_frames(5.0, 11.5))
    assert stage.record()["clip"]["state"] == "complete"


def test_gaps_are_cut_and_said(stage: Stage) -> None:
    stage.hear(8.0)
    stage.gap(1.5)
    stage.hear(11.0)
    stage.raised()
    stage.hear(12.0)
    stage.gap(None)
    stage.cleared()
    stage.hear(20.0)
    stage.close()

    found = np.concatenate([expected_frames(6.0, 8.0), expected_frames(9.5, 14.1)])
    np.testing.assert_array_equal(stage.sound(), found)
    assert stage.record()["clip"]["gaps"] == [
        {"at_s": 2.0, "lost_s": 1.5},
        {"at_s": 4.5, "lost_s": None},
    ]


def test_sound_from_before_an_outage_is_no_pre_roll(stage: Stage) -> None:
    stage.hear(8.0)
    stage.gap(3600.0)
    stage.hear(3610.0)
    stage.raised()
    stage.close()

    np.testing.assert_array_equal(stage.sound(), expected_frames(3608.0, 3610.0))
    assert stage.record()["clip"]["gaps"] == []


def test_an_alarm_during_the_post_roll_begins_a_clip_of_its_own(stage: Stage) -> None:
    second = "pump-20261122T083012000Z"
    stage.hear(10.0)
    stage.raised()
    stage.hear(11.0)
    stage.cleared()
    stage.hear(12.0)
    stage.raised(second)
    stage.hear(13.0)
    stage.close()

    np.testing.assert_array_equal(stage.sound(), expected_frames(5.0, 12.0))
    np.testing.assert_array_equal(stage.sound(second), expected_frames(7.0, 13.0))


def test_what_happens_to_the_alarm_is_noted_also_when_it_is_long_over(stage: Stage) -> None:
    stage.hear(10.0)
    stage.raised()
    stage.hear(11.0)
    stage.cleared()
    stage.hear(20.0)
    stage.recorder.on_event(
        AlarmAcknowledgedEvent(**moment(20.0).facts(), alarm_id=ALARM, note="bearing ordered")
    )
    stage.close()

    record = stage.record()
    assert record["cleared"]["max_score"] == 4.0
    assert [note["note"] for note in record["notes"]] == ["bearing ordered"]
    assert record["picture"] == "spectrogram.png"


def test_shelving_ends_the_clip(stage: Stage) -> None:
    stage.hear(10.0)
    stage.raised()
    stage.recorder.on_event(
        AlarmShelvedEvent(
            **moment(10.0).facts(), alarm_id=ALARM, until=START + timedelta(hours=1), note=""
        )
    )
    stage.hear(20.0)

    wait_until((stage.folder / ALARM / "audio.flac").exists)
    np.testing.assert_array_equal(stage.sound(), expected_frames(5.0, 12.0))


def test_an_alarm_from_before_a_restart_is_completed(tmp_path: Path) -> None:
    before = Stage(tmp_path)
    before.hear(10.0)
    before.raised()
    before.close()
    after = Stage(tmp_path)

    after.hear(5.0)
    after.cleared()
    after.cleared("pump-20261122T083099000Z")  # of which nothing is kept
    after.close()

    assert after.record()["cleared"]["duration_s"] == 3.0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [ALARM]


def test_what_a_killed_monitor_left_behind_is_tidied(tmp_path: Path) -> None:
    killed = Stage(tmp_path)
    killed.hear(10.0)
    killed.raised()
    killed.close()
    folder = tmp_path / ALARM
    (folder / "audio.flac").rename(folder / ".audio.flac.part")
    (folder / ".event.json.1234").write_bytes(b"{")

    Stage(tmp_path).close()

    assert sorted(path.name for path in folder.iterdir()) == ["event.json", "spectrogram.png"]
    assert killed.record()["clip"]["state"] == "none: the monitor was ended"


def test_an_id_that_looks_like_a_path_stays_inside(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a" / "events")
    stage.hear(3.0)
    stage.raised("../../outside")
    stage.close()

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (folder,) = filter(Path.is_dir, (tmp_path / "a" / "events").iterdir())
    assert (folder / "audio.flac").is_file()


def test_without_an_explanation_there_is_no_picture(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.hear(3.0)
    stage.raised(explained=False)
    stage.close()

    assert stage.record()["picture"] is None
    assert stage.record()["clip"]["state"] == "complete"
