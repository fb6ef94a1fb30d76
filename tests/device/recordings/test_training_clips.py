from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.faulty_sound import room
from device.small_disk import fill, small_disk
from numpy.typing import NDArray

from edge_asd.errors import DataError, OutputError, UsageError
from edge_asd.recordings.takes_file import read_takes
from edge_asd.recordings.training_clips import TrainingClips, training_clips


def opened(root: Path, clip_s: float | None = 1.0, *, reserve_bytes: int = 0) -> TrainingClips:
    with training_clips(root, "pump-3", clip_s, reserve_bytes=reserve_bytes) as clips:
        clips.add(clip(99), "source", "noAttribute", clips.new_take())
        return clips


def clip(seed: int, seconds: float = 1.0) -> NDArray[np.float32]:
    return room(seconds, seed=seed)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "pump-3/train").iterdir())


def test_a_clip_is_named_and_has_its_take(tmp_path: Path) -> None:
    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0) as clips:
        clips.add(clip(0), "target", "speed_2", "take-7")

    name = "section_00_target_train_normal_0000_speed_2.flac"
    audio, rate_hz = soundfile.read(tmp_path / "pump-3/train" / name, dtype="float32")
    assert (names(tmp_path), rate_hz) == ([name], 16_000)
    assert np.array_equal(audio.T, clip(0))
    assert read_takes(tmp_path / "pump-3/takes.csv") == {name: "take-7"}


def test_numbers_go_on_and_are_never_used_again(tmp_path: Path) -> None:
    with training_clips(tmp_path, "pump-3", None, reserve_bytes=0) as clips:
        for seed in range(3):
            clips.add(clip(seed, 10), "source", "noAttribute", clips.new_take())
    (tmp_path / "pump-3/train/section_00_source_train_normal_0002_noAttribute.flac").unlink()

    with training_clips(tmp_path, "pump-3", None, reserve_bytes=0) as clips:
        take = clips.new_take()
        clips.add(clip(3, 10), "target", "speed_2", take)

    assert take == "take-0003"
    assert names(tmp_path)[-1] == "section_00_target_train_normal_0003_speed_2.flac"


def test_sound_that_is_there_is_found_by_its_samples(tmp_path: Path) -> None:
    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0) as clips:
        clips.add(clip(0), "source", "noAttribute", "monday")
        just_added = clips.take_of(clip(0))
    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0) as clips:
        read_back, other = clips.take_of(clip(0)), clips.take_of(clip(1))

    assert (just_added, read_back, other) == ("monday", "monday", None)


def test_clips_and_takes_are_counted_by_kind(tmp_path: Path) -> None:
    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0) as clips:
        for seed, take in enumerate("aab"):
            clips.add(clip(seed), "source", "speed_2", take)
        clips.add(clip(3), "target", "speed_2", "c")

    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0) as clips:
        counts = clips.n_clips("source", "speed_2"), clips.n_takes("source", "speed_2")

    assert counts == (3, 2)


def test_clips_of_a_machine_have_one_length(tmp_path: Path) -> None:
    opened(tmp_path, 1.0)

    with training_clips(tmp_path, "pump-3", None, reserve_bytes=0) as clips:
        assert clips.clip_samples == 16_000
    with (
        pytest.raises(UsageError, match="are 1 s long"),
        training_clips(tmp_path, "pump-3", 2.0, reserve_bytes=0),
    ):
        pass


def test_one_program_at_a_time_adds_clips(tmp_path: Path) -> None:
    with (
        training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0),
        pytest.raises(UsageError, match="another command adds clips"),
        training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0),
    ):
        pass


def test_what_a_killed_program_left_is_removed(tmp_path: Path) -> None:
    opened(tmp_path)
    left = tmp_path / "pump-3/train/.section_00_source_train_normal_0001_noAttribute.flac.77"
    left.write_bytes(b"fLaC")

    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0):
        assert not left.exists()


def test_a_folder_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with training_clips(tmp_path, "pump-3", 1.0, reserve_bytes=0):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_of_takes_is_not_overwritten(tmp_path: Path) -> None:
    opened(tmp_path)
    takes = tmp_path / "pump-3/takes.csv"
    takes.write_text("file;take\n")

    with pytest.raises(DataError, match="expected the columns"):
        opened(tmp_path)

    assert takes.read_text() == "file;take\n"


@pytest.mark.parametrize("machine", ["", " pump", "a/b", "..", ".hidden", "__pump", "train", "\n"])
def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path, machine: str) -> None:
    with (
        pytest.raises(UsageError, match="no name for"),
        training_clips(tmp_path, machine, 1.0, reserve_bytes=0),
    ):
        pass


def test_the_reserve_of_the_disk_is_kept(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="stay free"):
        opened(tmp_path, reserve_bytes=1 << 60)

    assert not (tmp_path / "pump-3").exists()


def test_a_full_disk_ends_clearly_and_costs_nothing_that_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path, 256) as disk:
        opened(disk)
        before = names(disk)
        filler = fill(disk)

        with (
            pytest.raises(OutputError, match="is full: make room"),
            training_clips(disk, "pump-3", 1.0, reserve_bytes=-(1 << 40)) as clips,
        ):
            clips.add(clip(1), "source", "noAttribute", "next")

        filler.unlink()
        assert names(disk) == before
        with training_clips(disk, "pump-3", 1.0, reserve_bytes=0) as clips:
            clips.add(clip(1), "source", "noAttribute", "next")
        assert len(names(disk)) == 2
        assert set(names(disk)) <= set(read_takes(disk / "pump-3/takes.csv"))
