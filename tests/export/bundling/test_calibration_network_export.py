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
SYSTEMS = ("baseline-mse", "system3")
TINY = {
    "systems": SYSTEMS,
    "folds": 5,
    "autoencoder": {"epochs": 40, "batch_size": 64},
    "resnet": {"epochs": 1, "width": 8},
    "beats": {"epochs": 1},
    "fkie": {"epochs": 1},
}


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All networks, and of each the calibration network of a fold; five of the autoencoders."""
    run, tasks = new_run(tmp_path_factory.mktemp("runs") / "all", small_data, **TINY)  # type: ignore[arg-type]
    for name, task in tasks.items():
        train_network(run, name, task.items, device=CPU)
    for one in calibration_tasks(tasks, 5):
        if one.fold == 0 or one.network.startswith("autoencoder"):
            train_network(run.without_fold(one.fold), one.network, one.items, device=CPU)
    return run


@pytest.fixture(scope="module")
def without(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run without its calibration networks."""
    path = tmp_path_factory.mktemp("runs") / "without"
    shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("without-fold-*"))
    return Run(path, run.record)


def export(
    run: Run, clips: Clips, out: Path, system: str, progress: ExportProgress = SILENT
) -> Manifest:
    options = ExportOptions(
        system=system, quantize="none", false_alarm_rate=0.05, window_hop_frames=16
    )
    return write_bundle(run, clips, out, options, progress).manifest


def test_all_but_thresholds_and_promises_is_as_without_calibration_networks(
    run: Run, without: Run, small_clips: Clips, tmp_path: Path
) -> None:
    with_networks = export(run, small_clips, tmp_path / "with", "system3")
    before = export(without, small_clips, tmp_path / "before", "system3")

    assert with_networks.files.keys() == before.files.keys()
    files = set(with_networks.files) - {with_networks.golden.file}
    assert all(with_networks.files[name] == before.files[name] for name in files)
    for name, machine in with_networks.machines.items():
        assert machine.fusion == before.machines[name].fusion
        assert machine.threshold != before.machines[name].threshold
        assert not machine.threshold.heard
        assert before.machines[name].threshold.heard


def test_an_autoencoder_knows_what_it_was_trained_with_better_than_new_sound(
    run: Run, without: Run, small_clips: Clips, tmp_path: Path
) -> None:
    with_networks = export(run, small_clips, tmp_path / "with", "baseline-mse")
    before = export(without, small_clips, tmp_path / "before", "baseline-mse")

    for name, machine in with_networks.machines.items():
        assert machine.threshold.threshold > 1.01 * before.machines[name].threshold.threshold


def test_export_warns_and_trusts_nothing_where_there_is_no_calibration_network(
    without: Run, small_clips: Clips, tmp_path: Path
) -> None:
    said: list[str] = []
    progress = ExportProgress(said.append, lambda done, total: None)

    manifest = export(without, small_clips, tmp_path / "b", "baseline-mse", progress)

    (warning,) = [line for line in said if line.startswith("warning: autoencoder/fan")]
    assert f"edge-asd train --resume {without.path}" in warning
    promises = [machine.promise for machine in manifest.machines.values()]
    assert {promise.trust for promise in promises if promise} == {"extrapolated"}


def test_nothing_is_left_of_calibration_networks_in_a_bundle(
    run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    manifest = export(run, small_clips, tmp_path / "b", "baseline-mse")

    encoders = {name for name in manifest.files if name.endswith(".encoder.onnx")}
    assert encoders == {f"graphs/autoencoder.{name}.encoder.onnx" for name in small_clips}
