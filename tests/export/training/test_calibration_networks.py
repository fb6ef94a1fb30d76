"""Calibration networks: the same training once more without a fold, beside the shipped network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from export.conftest import new_run

from edge_asd.errors import UsageError
from edge_asd_export.data.folds import NO_FOLD
from edge_asd_export.training.calibration_networks import calibration_tasks, trained_without
from edge_asd_export.training.config import read_settings
from edge_asd_export.training.distributed import ALONE
from edge_asd_export.training.run import Run
from edge_asd_export.training.train_run import RunPlan, train_all

CPU = torch.device("cpu")


def plan(path: Path, data: Path, **sections: object) -> RunPlan:
    settings = {"epochs": 1, "batch_size": 32}
    return RunPlan(
        *new_run(path, data, systems=("baseline-mse",), autoencoder=settings, **sections)
    )


def weights(run: Run, name: str) -> torch.Tensor:
    state = run.checkpoint(name)
    assert state is not None
    return torch.cat([value.float().flatten() for value in state["learner"].values()])


def test_a_calibration_network_hears_all_but_its_fold(small_data: Path, tmp_path: Path) -> None:
    _, tasks = new_run(tmp_path / "run", small_data)

    first, second = calibration_tasks(tasks, 2)

    assert [(one.network, one.fold) for one in (first, second)] == [("fkie", 0), ("fkie", 1)]
    assert {item.fold for item in first.items} == {1, 2, 3, 4}
    assert {item.fold for item in second.items} == {0, 2, 3, 4}


def test_every_machine_has_one_where_each_has_a_network(small_data: Path, tmp_path: Path) -> None:
    _, tasks = new_run(tmp_path / "run", small_data, systems=("baseline-mse",))

    found = calibration_tasks(tasks, 1)

    assert [one.network for one in found] == ["autoencoder/fan", "autoencoder/pump"]


def test_an_ensemble_needs_none(small_data: Path, tmp_path: Path) -> None:
    _, tasks = new_run(tmp_path / "run", small_data, systems=("system5",))

    assert calibration_tasks(tasks, 5) == []


def test_a_network_whose_clips_cannot_be_divided_has_none(small_data: Path, tmp_path: Path) -> None:
    _, tasks = new_run(tmp_path / "run", small_data)
    for item in tasks["fkie"].items:
        object.__setattr__(item, "fold", NO_FOLD)

    assert calibration_tasks(tasks, 5) == []


def test_they_are_trained_after_the_shipped_networks(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan(tmp_path / "run", small_data)

    train_all(made, CPU, ALONE)

    said = capsys.readouterr().err
    assert "autoencoder/fan, autoencoder/pump: then trained again without a fifth" in said
    assert "2 networks more" in said
    for name in made.tasks:
        assert trained_without(made.run, name) == [0]


def test_the_shipped_network_does_not_depend_on_them(small_data: Path, tmp_path: Path) -> None:
    alone, beside = (plan(tmp_path / str(n), small_data, folds=n) for n in (0, 1))
    torch.set_num_threads(1)

    for made in (alone, beside):
        train_all(made, CPU, ALONE)

    name = "autoencoder/fan"
    assert trained_without(alone.run, name) == []
    assert torch.equal(weights(alone.run, name), weights(beside.run, name))
    assert not torch.equal(weights(beside.run, name), weights(beside.run.without_fold(0), name))


def test_a_resumed_training_makes_those_that_are_missing(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan(tmp_path / "run", small_data)
    train_all(made, CPU, ALONE)
    (made.run.without_fold(0).folder("autoencoder/pump") / "checkpoint.pt").unlink()
    capsys.readouterr()

    train_all(made, CPU, ALONE)

    said = capsys.readouterr().err
    assert "autoencoder/fan without fold 0: already trained" in said
    assert "autoencoder/pump without fold 0: already trained" not in said
    assert trained_without(made.run, "autoencoder/pump") == [0]


def test_there_are_five_folds_at_most() -> None:
    with pytest.raises(UsageError, match="folds"):
        read_settings(None, {"folds": 6})
