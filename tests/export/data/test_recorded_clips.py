"""What the device records is what training reads."""

from __future__ import annotations

from pathlib import Path

import soundfile
from device.faulty_sound import room
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd_export.data.clips import scan

RECORD = ["record", "--machine", "pump-3", "--out"]


def test_recorded_clips_are_read_without_a_problem(tmp_path: Path) -> None:
    for i, state in enumerate((["--attribute", "speed=2"], ["--domain", "target"])):
        soundfile.write(tmp_path / "a.flac", room(5, seed=i).T, 16_000)
        args = ["--input", str(tmp_path / "a.flac"), "--clip-s", "2", *state]
        assert CliRunner().invoke(app, [*RECORD, str(tmp_path / "out"), *args]).exit_code == 0

    inventory = scan([tmp_path / "out"])

    assert inventory.problems == ()
    machine = inventory.machines["pump-3"]
    assert (machine.window_samples, len(machine.train)) == (32_000, 4)
    assert {clip.class_key for clip in machine.train} == {
        ("pump-3", "source", "speed_2"),
        ("pump-3", "target", "noAttribute"),
    }
