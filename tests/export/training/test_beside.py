"""Other machines beside those that a run is for: classes to tell apart, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_asd.errors import DataError, UsageError
from edge_asd_export.bundling.export_job import training_clips
from edge_asd_export.data.folds import NO_FOLD
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.train_run import RunPlan, new_run, resumed_run


@pytest.fixture
def fan(small_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_data / "fan", tmp_path / "mine" / "fan")).parent


@pytest.fixture
def pump(small_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_data / "pump", tmp_path / "others" / "pump")).parent


def plan(fan: Path, pump: Path, *systems: str) -> RunPlan:
    config = TrainConfig(systems=systems or ("system5",))
    return new_run(fan.parent / "run", config, [fan], beside=[pump])


def test_machines_beside_are_classes_that_every_member_learns(fan: Path, pump: Path) -> None:
    task = plan(fan, pump).tasks["ltas"]

    assert {one.machine for one in task.record.classes} == {"fan", "pump"}
    assert {item.fold for item in task.items if item.clip.machine == "pump"} == {NO_FOLD}
    assert {item.fold for item in task.items if item.clip.machine == "fan"} > {NO_FOLD + 1}


def test_machines_beside_have_no_network_and_no_bank(fan: Path, pump: Path) -> None:
    made = plan(fan, pump, "system5", "baseline-mse")

    assert list(made.tasks) == ["ltas", "autoencoder/fan"]
    assert list(made.run.record.machines) == ["fan"]
    assert list(training_clips(made.run, print)) == ["fan"]


def test_a_run_goes_on_with_the_machines_beside_it(fan: Path, pump: Path) -> None:
    made = plan(fan, pump)
    made.run.write()

    assert resumed_run(made.run.path).tasks == made.tasks


def test_machines_beside_that_have_changed_stop_a_run(fan: Path, pump: Path) -> None:
    made = plan(fan, pump)
    made.run.write()
    next((pump / "pump" / "train").iterdir()).unlink()

    with pytest.raises(DataError, match="has changed: found"):
        resumed_run(made.run.path)


def test_a_machine_in_both_is_refused(fan: Path) -> None:
    with pytest.raises(UsageError, match="machine 'fan' is in the data and in --beside"):
        plan(fan, fan)
