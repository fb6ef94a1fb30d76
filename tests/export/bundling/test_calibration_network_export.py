"""Thresholds from what networks say of sound that they were trained without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from export.conftest import SILENT, new_run

from edge_asd.bundle.manifest import Manifest
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.calibration_networks import calibration_tasks
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import train_network

Clips = dict[str, tuple[Clip, ...]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The autoencoders of two machines, and of each the calibration network of a fold."""
    own = {"epochs": 60, "batch_size": 32, "learning_rate": 0.003}
    path = tmp_path_factory.mktemp("runs") / "baseline"
    run, tasks = new_run(path, small_data, systems=("baseline-mse",), autoencoder=own)
    for name, task in tasks.items():
        train_network(run, name, task.items, device=CPU)
    for one in calibration_tasks(tasks, 1):
        train_network(run.without_fold(one.fold), one.network, one.items, device=CPU)
    return run


@pytest.fixture(scope="module")
def without(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run without its calibration networks."""
    path = tmp_path_factory.mktemp("runs") / "without"
    shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("without-fold-*"))
    return Run(path, run.record)


def export(run: Run, clips: Clips, out: Path, progress: ExportProgress = SILENT) -> Manifest:
    options = ExportOptions(quantize="none", false_alarm_rate=0.05)
    return write_bundle(run, clips, out, options, progress).manifest


def test_all_but_thresholds_and_promises_is_as_without_calibration_networks(
    small_run: Run, small_data: Path, small_clips: Clips, tmp_path: Path
) -> None:
    before = export(small_run, small_clips, tmp_path / "before")
    shutil.copytree(small_run.path, tmp_path / "run")
    run, tasks = new_run(tmp_path / "run", small_data)
    (one,) = calibration_tasks(tasks, 1)
    train_network(run.without_fold(0), "fkie", one.items, device=CPU)

    after = export(run, small_clips, tmp_path / "after")

    assert after.files.keys() == before.files.keys()
    files = set(after.files) - {after.golden.file}
    assert all(after.files[name] == before.files[name] for name in files)
    for name, machine in after.machines.items():
        assert machine.fusion == before.machines[name].fusion
        assert machine.threshold.levels != before.machines[name].threshold.levels
        assert not machine.threshold.heard
        assert before.machines[name].threshold.heard


def test_an_autoencoder_knows_what_it_was_trained_with_better_than_new_sound(
    run: Run, without: Run, small_clips: Clips, tmp_path: Path
) -> None:
    with_networks = export(run, small_clips, tmp_path / "with")
    before = export(without, small_clips, tmp_path / "before")

    raised = [
        machine.threshold.threshold / before.machines[name].threshold.threshold
        for name, machine in with_networks.machines.items()
    ]
    assert min(raised) > 1.01


def test_export_warns_and_trusts_nothing_where_there_is_no_calibration_network(
    without: Run, small_clips: Clips, tmp_path: Path
) -> None:
    said: list[str] = []
    progress = ExportProgress(said.append, lambda done, total: None)

    manifest = export(without, small_clips, tmp_path / "b", progress)

    (warning,) = [line for line in said if line.startswith("warning: autoencoder/fan")]
    assert f"edge-asd train --resume {without.path}" in warning
    promises = [machine.promise for machine in manifest.machines.values()]
    assert {promise.trust for promise in promises if promise} == {"extrapolated"}


def test_a_run_of_before_there_were_folds_is_to_be_trained_again(
    without: Run, small_clips: Clips, tmp_path: Path
) -> None:
    said: list[str] = []
    old = Run(without.path, without.record.model_copy(update={"folds": {}, "takes": {}}))
    progress = ExportProgress(said.append, lambda done, total: None)

    export(old, small_clips, tmp_path / "bundle", progress)

    (warning, *_) = (line for line in said if line.startswith("warning: autoencoder"))
    assert "train again with 'edge-asd train'" in warning
    assert "--resume" not in warning


def test_nothing_is_left_of_calibration_networks_in_a_bundle(
    run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    manifest = export(run, small_clips, tmp_path / "b")

    encoders = {name for name in manifest.files if name.endswith(".encoder.onnx")}
    assert encoders == {f"graphs/autoencoder.{name}.encoder.onnx" for name in small_clips}
