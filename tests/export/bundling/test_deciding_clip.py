"""Export names the training clip that decides a threshold, if one does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from export.conftest import write_clip

from edge_asd.alarm.promise import FALSE_ALARMS_PER_MONTH
from edge_asd.bundle.system import system_named
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress
from edge_asd_export.calibration.calibration import AlarmGoal, calibrate
from edge_asd_export.data.clips import scan
from edge_asd_export.training.run import Run

ODD = "section_00_source_train_normal_0006_spd_0.wav"


def said_by_export(run: Run, data: Path, out: Path) -> list[str]:
    said: list[str] = []
    clips = {name: machine.train for name, machine in scan([data]).machines.items()}
    progress = ExportProgress(said.append, lambda done, total: None)
    write_bundle(run, clips, out, ExportOptions(quantize="none"), progress)
    return [line for line in said if "alone puts the threshold" in line]


def test_a_clip_unlike_all_others_is_named(
    small_run: Run, small_data: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(small_data, tmp_path / "data"))
    path = data / "fan" / "train" / ODD
    write_clip(path, 0.1 * np.random.default_rng(0).standard_normal((2, 16_000)))

    (line,) = said_by_export(small_run, data, tmp_path / "bundle")

    assert line.startswith(f"warning: fan: {path} alone puts the threshold")


def test_nothing_is_said_of_clips_of_one_kind(
    small_run: Run, small_data: Path, tmp_path: Path
) -> None:
    assert said_by_export(small_run, small_data, tmp_path / "bundle") == []


def test_the_threshold_of_a_poisoned_machine_is_known_to_hang_on_one_take() -> None:
    normal = np.random.default_rng(0).gamma(20, 0.02, 50)
    normal[7] = 4290.0
    scores = {"fan": {"fkie@near": normal, "fkie@far": normal}}

    calibration = calibrate(
        system_named("system4"),
        scores,
        weight_rules={"channels": "mostly-first"},
        goal=AlarmGoal({"fan": 10.0}, 2.5, FALSE_ALARMS_PER_MONTH),
        takes={"fan": np.arange(50)},
    )["fan"]

    assert calibration.threshold.threshold > 1000
    assert calibration.deciding is not None
    assert calibration.deciding.windows.tolist() == [7]
