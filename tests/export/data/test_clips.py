"""Reading a data set in the challenge's layout, and everything that can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from places import SHARED

from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import Inventory, require_enough, scan
from edge_asd_export.data.problems import require_clean

RATE_HZ = 16_000
GOOD = "section_00_source_train_normal_{:04d}_spd_1.wav"
REAL_RECORDINGS = SHARED / "data" / "tiny"


def write_clip(
    path: Path, *, n_samples: int = 1600, n_channels: int = 2, rate_hz: int = RATE_HZ
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((n_samples, n_channels))
    soundfile.write(path, noise.astype(np.float32), rate_hz, subtype="PCM_16")
    return path


def good_machine(root: Path, name: str = "fan", *, n_samples: int = 1600) -> Path:
    for index in range(3):
        write_clip(root / name / "train" / GOOD.format(index), n_samples=n_samples)
    write_clip(
        root / name / "test" / "section_00_target_test_anomaly_0000_spd_2.wav", n_samples=n_samples
    )
    return root / name


def cut(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])


def reasons(inventory: Inventory) -> dict[str, str]:
    return {problem.path.name: problem.reason for problem in inventory.problems}


def test_a_repeated_attribute_key_keeps_both_values(tmp_path: Path) -> None:
    write_clip(
        tmp_path / "car/train/section_00_source_train_normal_0000_car_B1_spd_2_mic_2_mic_1.wav"
    )

    (clip,) = scan([tmp_path]).machines["car"].train

    assert clip.class_key == ("car", "source", "car_B1_spd_2_mic_2_mic_1")


def test_an_attribute_without_value_is_kept(tmp_path: Path) -> None:
    write_clip(tmp_path / "fan/train/section_00_source_train_normal_0000_strength_1_ambient.wav")

    (clip,) = scan([tmp_path]).machines["fan"].train

    assert clip.attribute_text == "strength_1_ambient"


def test_a_machine_without_attributes_has_one_class(tmp_path: Path) -> None:
    write_clip(tmp_path / "slider/train/section_00_source_train_normal_0000_noAttribute.wav")

    (clip,) = scan([tmp_path]).machines["slider"].train

    assert clip.class_key == ("slider", "source", "noAttribute")


def test_attributes_of_test_clips_are_never_read_because_they_can_spell_the_label(
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "gearbox/train/section_00_target_train_normal_0000_pro_Y.wav")
    write_clip(tmp_path / "gearbox/test/section_00_target_test_normal_0000_pro_y.wav")
    write_clip(tmp_path / "gearbox/test/section_00_target_test_anomaly_0000_pro_Y.wav")

    machine = scan([tmp_path]).machines["gearbox"]

    assert machine.train[0].attribute_text == "pro_Y"
    assert {clip.attribute_text for clip in machine.test} == {""}


def test_anonymous_test_clips_have_neither_domain_nor_label(tmp_path: Path) -> None:
    good_machine(tmp_path)
    write_clip(tmp_path / "fan" / "test" / "section_00_0000.wav")

    inventory = scan([tmp_path])

    require_clean(inventory.problems)
    anonymous = inventory.machines["fan"].test[0]
    assert (anonymous.domain, anonymous.label, anonymous.index) == (None, None, 0)


def test_clips_that_share_a_running_number_are_different_clips(tmp_path: Path) -> None:
    good_machine(tmp_path)
    for label in ("normal", "anomaly"):
        for domain in ("source", "target"):
            name = f"section_00_{domain}_test_{label}_0007_spd_1.wav"
            write_clip(tmp_path / "fan" / "test" / name)

    test = scan([tmp_path]).machines["fan"].test

    assert len([clip for clip in test if clip.index == 7]) == 4


def test_each_machine_has_its_own_clip_length(tmp_path: Path) -> None:
    good_machine(tmp_path, "fan", n_samples=1600)
    good_machine(tmp_path, "toothbrush", n_samples=960)

    machines = scan([tmp_path]).machines

    assert machines["fan"].window_samples == 1600
    assert machines["toothbrush"].window_samples == 960
    assert machines["fan"].sample_rate_hz == RATE_HZ


def test_flac_and_upper_case_suffixes_are_read_and_other_files_ignored(tmp_path: Path) -> None:
    train = good_machine(tmp_path) / "train"
    write_clip(train / "section_00_target_train_normal_0000_spd_9.flac")
    write_clip(train / "section_00_target_train_normal_0001_spd_9.WAV")
    (train / "notes.txt").write_text("not audio")
    (train / "._section_00_source_train_normal_0000_spd_1.wav").write_bytes(b"resource fork")
    (tmp_path / "fan" / "attributes_00.csv").write_text("never read")

    inventory = scan([tmp_path])

    require_clean(inventory.problems)
    assert len(inventory.machines["fan"].train) == 5


def spoil_with_nan(path: Path) -> None:
    samples = np.zeros((1600, 2), np.float32)
    samples[800, 1] = np.nan
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")


def spoil_with_infinity(path: Path) -> None:
    samples = np.zeros((1600, 2), np.float32)
    samples[800, 0] = np.inf
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "mono": (lambda path: write_clip(path, n_channels=1), "is mono, expected 2 channels"),
    "four channels": (lambda path: write_clip(path, n_channels=4), "has 4 channels, expected 2"),
    "wrong rate": (
        lambda path: write_clip(path, rate_hz=44_100),
        "has 44100 Hz, expected 16000",
    ),
    "half the band": (
        lambda path: write_clip(path, rate_hz=8000),
        "has 8000 Hz, expected 16000 Hz; sound above 4 kHz is missing: record it again",
    ),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "GSM": (
        lambda path: path.write_bytes(
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x31\0\2\0\x80\x3e\0\0"
            + bytes(4)
            + b"\x41\0\0\0data\x41\0\0\0"
            + bytes(65)
        ),
        "its samples are GSM 6.10",
    ),
    "zero length": (lambda path: write_clip(path, n_samples=0), "has no samples"),
    "truncated": (lambda path: cut(write_clip(path)), "is cut short: found 4252 of 6400 bytes"),
    "not audio": (lambda path: path.write_text("hello"), "cannot be decoded"),
    "empty file": (lambda path: path.write_bytes(b""), "cannot be decoded"),
    "nan": (spoil_with_nan, "not finite"),
    "infinity": (spoil_with_infinity, "not finite"),
    "other length": (
        lambda path: write_clip(path, n_samples=800),
        "800 samples (0.05 s) long, most clips of this machine are 1600 samples (0.1 s)",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_reported_with_its_path_and_reason(tmp_path: Path, kind: str) -> None:
    spoil, reason = BAD_FILES[kind]
    bad = good_machine(tmp_path) / "train" / GOOD.format(9)
    spoil(bad)

    inventory = scan([tmp_path])

    (problem,) = inventory.problems
    assert problem.path == bad
    assert reason in problem.reason
    assert bad not in {clip.path for clip in inventory.machines["fan"].clips}


@pytest.mark.parametrize("kept_part", [0.05, 0.5, 0.98])
def test_a_truncated_flac_is_found_by_decoding(tmp_path: Path, kept_part: float) -> None:
    bad = write_clip(good_machine(tmp_path) / "train" / GOOD.format(9).replace("wav", "flac"))
    whole = bad.read_bytes()
    bad.write_bytes(whole[: int(len(whole) * kept_part)])

    assert list(reasons(scan([tmp_path]))) == [bad.name]


def test_a_clip_of_unknown_length_is_used_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    piped = good_machine(tmp_path) / "train" / GOOD.format(9)
    write_clip(piped)
    content = piped.read_bytes()
    piped.write_bytes(content[:40] + bytes(4) + content[44:])

    inventory = scan([tmp_path])

    assert inventory.problems == ()
    assert piped in {clip.path for clip in inventory.machines["fan"].clips}
    assert f"{piped}: its header does not say how long it is" in caplog.text


def test_a_truncated_wav_is_found_without_decoding(tmp_path: Path) -> None:
    bad = good_machine(tmp_path) / "train" / GOOD.format(1)
    cut(bad)

    assert "cut short" in reasons(scan([tmp_path], read_samples=False))[bad.name]


@pytest.mark.parametrize(
    ("folder", "name", "reason"),
    [
        ("train", "recording1.wav", "not a clip name"),
        ("train", "section_00_source_test_normal_0000_spd_1.wav", "the name says test"),
        ("train", "section_00_source_train_anomaly_0000_spd_1.wav", "anomaly clip in train"),
        ("train", "section_00_0000.wav", "anonymous clip in train"),
    ],
)
def test_a_name_that_does_not_fit_its_folder_is_reported(
    tmp_path: Path, folder: str, name: str, reason: str
) -> None:
    write_clip(good_machine(tmp_path) / folder / name)

    assert reason in reasons(scan([tmp_path]))[name]


def test_one_clip_as_wav_and_flac_is_reported(tmp_path: Path) -> None:
    twin = write_clip(good_machine(tmp_path) / "train" / GOOD.format(0).replace("wav", "flac"))

    inventory = scan([tmp_path])

    assert len(inventory.problems) == 1
    assert "same clip name as" in inventory.problems[0].reason
    assert {inventory.problems[0].path.stem} == {twin.stem}


def test_a_machine_without_train_clips_is_reported(tmp_path: Path) -> None:
    write_clip(tmp_path / "fan" / "test" / "section_00_0000.wav")

    assert reasons(scan([tmp_path])) == {"fan": "no usable train clip"}


def test_a_missing_root_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        scan([tmp_path / "nowhere"])


def test_all_problems_are_reported_together_under_a_summary(tmp_path: Path) -> None:
    train = good_machine(tmp_path) / "train"
    write_clip(train / GOOD.format(7), n_channels=1)
    cut(train / GOOD.format(1))

    with pytest.raises(DataError) as caught:
        require_clean(scan([tmp_path]).problems)

    summary, *lines = str(caught.value).splitlines()
    assert summary.startswith("2 problems in the recordings")
    assert [Path(line.split(": ")[0].strip()).name for line in lines] == [
        GOOD.format(1),
        GOOD.format(7),
    ]


def test_a_long_list_of_problems_is_cut_short(tmp_path: Path) -> None:
    good_machine(tmp_path)
    for index in range(23):
        (tmp_path / "fan" / "train" / f"bad{index}.wav").touch()

    with pytest.raises(DataError) as caught:
        require_clean(scan([tmp_path]).problems)

    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[-1].strip() == "and 3 more"


def test_progress_counts_every_file(tmp_path: Path) -> None:
    good_machine(tmp_path)
    seen: list[tuple[int, int]] = []

    scan([tmp_path], progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_machine_of_copies_of_one_clip_is_refused(tmp_path: Path) -> None:
    train = tmp_path / "fan" / "train"
    train.mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((16_000, 2))
    for index in range(3):
        name = f"section_00_source_train_normal_{index:04d}.wav"
        soundfile.write(train / name, noise, 16_000)

    with pytest.raises(DataError, match="3 train clips of machine 'fan' are copies of one"):
        require_enough(scan([tmp_path]).machines["fan"])


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_RECORDINGS.is_dir(), reason="needs the shared folder")
def test_real_recordings_are_clean() -> None:
    inventory = scan([REAL_RECORDINGS])

    require_clean(inventory.problems)
    assert {name: len(machine.clips) for name, machine in inventory.machines.items()} == {
        "fan": 19,
        "uavA": 19,
    }
