"""`edge-asd data check`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from edge_asd.cli import app

NAMES = (
    "train/section_00_source_train_normal_0000_spd_1.wav",
    "train/section_00_source_train_normal_0001_spd_2.wav",
    "train/section_00_target_train_normal_0000_spd_3.wav",
    "test/section_00_source_test_anomaly_0000_spd_1.wav",
    "test/section_00_0001.wav",
)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal((8000, 2)).astype(np.float32)
    for name in NAMES:
        path = tmp_path / "fan" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise, 16_000)
    return tmp_path


def run(*arguments: Path | str) -> Result:
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])


def test_clean_recordings_are_counted_in_a_table_on_stdout(recordings: Path) -> None:
    result = run(recordings)

    row = next(line.split() for line in result.stdout.splitlines() if "fan" in line)
    assert row == ["fan", "0.5", "3", "2/1", "0/1", "1"]
    assert "no problems" in result.stdout
    assert result.exit_code == 0


def test_json_holds_the_same_counts(recordings: Path) -> None:
    result = run(recordings, "--json")

    assert json.loads(result.stdout) == {
        "machines": {
            "fan": {
                "clip_s": 0.5,
                "sample_rate_hz": 16_000,
                "attribute_classes": 3,
                "clips": {
                    "test": 1,
                    "test_source_anomaly": 1,
                    "train_source_normal": 2,
                    "train_target_normal": 1,
                },
                "takes": {"all": 1, "source": 1, "target": 1},
            }
        },
        "problems": [],
        "findings": [],
        "ignored": [],
    }


def test_takes_are_counted_and_written_beside_the_clips(recordings: Path) -> None:
    result = run(recordings)

    rows = [line.split() for line in result.stdout.splitlines() if line.strip().startswith("fan")]
    assert rows[-2:] == [
        ["fan", "source", "2", "1", "2", "50.0", "%"],
        ["fan", "target", "1", "1", "1", "50.0", "%"],
    ]
    assert "A take is a continuous recording" in result.stdout
    assert (recordings / "fan" / "takes.csv").exists()


def test_a_table_of_takes_that_names_too_little_exits_with_2(recordings: Path) -> None:
    table = recordings / "mine.csv"
    table.write_text("file,take\n")

    result = run(recordings, "--takes", table)

    assert "names no take for" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_problems_are_named_and_the_exit_code_is_1(
    recordings: Path, options: tuple[str, ...]
) -> None:
    bad = recordings / "fan" / "train" / "mono.wav"
    soundfile.write(bad, np.zeros(100, np.float32), 16_000)

    result = run(recordings, *options)

    assert str(bad) in result.stdout
    assert "not a clip name" in result.stdout
    assert result.exit_code == 1


def test_every_problem_is_listed_however_many_there_are(recordings: Path) -> None:
    for index in range(30):
        (recordings / "fan" / "train" / f"bad{index}.wav").touch()

    result = run(recordings)

    assert sum("not a clip name" in line for line in result.stdout.splitlines()) == 30
    assert "30 problems" in result.stdout


def test_a_missing_folder_exits_with_2(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere")

    assert "no such folder" in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


def test_the_table_fits_a_terminal_of_80_columns(recordings: Path) -> None:
    assert max(map(len, run(recordings).stdout.splitlines())) <= 80
