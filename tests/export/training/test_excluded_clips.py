"""Training and export leave out the same clips, and say so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile

from edge_asd_export.bundling.export_job import training_inventory
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.train_run import new_run, resumed_run

POISON = "section_00_source_train_normal_0003_spd_1.wav"


@pytest.fixture
def poisoned(small_data: Path, tmp_path: Path) -> Path:
    """Recordings of a fan, one of them as floats in the scale of 16 bits."""
    root = Path(shutil.copytree(small_data / "fan", tmp_path / "data" / "fan")).parent
    path = root / "fan" / "train" / POISON
    sound, rate_hz = soundfile.read(path)
    soundfile.write(path, sound * 32768, rate_hz, subtype="FLOAT")
    return root


def test_a_training_names_and_counts_the_clip_that_it_leaves_out(
    poisoned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = new_run(poisoned.parent / "run", TrainConfig(systems=("system4",)), [poisoned])

    said = capsys.readouterr().err.splitlines()
    at = said.index("1 train clip is excluded:")
    assert f"{POISON}: excluded: the samples are far beyond full scale" in said[at + 1]
    assert POISON not in {item.clip.path.name for item in plan.tasks["fkie"].items}
    assert len(plan.run.record.takes["fan"]) == 13


def test_resumed_training_and_export_leave_out_the_same_clip(poisoned: Path) -> None:
    plan = new_run(poisoned.parent / "run", TrainConfig(systems=("system4",)), [poisoned])
    plan.run.write()
    said: list[str] = []

    inventory = training_inventory(plan.run, say=said.append)

    used = {item.clip.path for item in plan.tasks["fkie"].items}
    assert {clip.path for clip in inventory.machines["fan"].train} == used
    assert said[0] == "1 train clip is excluded:"
    assert resumed_run(plan.run.path).tasks["fkie"].record == plan.tasks["fkie"].record
