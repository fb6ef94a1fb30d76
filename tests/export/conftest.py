"""A tiny data set, a run trained on it, and its bundle; made once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from edge_asd_export.bundling.bundle_writer import WrittenBundle, write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress
from edge_asd_export.bundling.graph_check import Tolerance
from edge_asd_export.data.clips import Clip, scan
from edge_asd_export.data.folds import assign_folds
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.recipes import RECIPES
from edge_asd_export.training.run import Run, RunRecord, clips_record
from edge_asd_export.training.tasks import PlannedTask, plan_tasks
from edge_asd_export.training.train import train_network

RATE_HZ = 16_000
CLIP_SAMPLES = 16_000
MACHINES = {"fan": 120.0, "pump": 310.0}  # fundamental of each, Hz


def machine_noise(fundamental_hz: float, seed: int, *, faulty: bool = False) -> np.ndarray:
    """One clip (2, CLIP_SAMPLES): harmonics in noise, louder near; a fault is a whine."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(CLIP_SAMPLES) / RATE_HZ
    phases = rng.uniform(0, 2 * np.pi, 6)
    tone = sum(
        np.sin(2 * np.pi * fundamental_hz * k * time_s + phase) / k
        for k, phase in enumerate(phases, 1)
    )
    whine = 2.0 * faulty * np.sin(2 * np.pi * 5200 * time_s)
    near = 0.05 * (tone + whine) + 0.02 * rng.standard_normal(CLIP_SAMPLES)
    far = 0.01 * (tone + whine) + 0.04 * rng.standard_normal(CLIP_SAMPLES)
    return np.stack([near, far])


def write_clip(path: Path, audio: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, audio.T, RATE_HZ, subtype="PCM_16")


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """Give torch its threads back: sums of other threads round otherwise, in later tests, too."""
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines, 10 source and 4 target training clips, 8 test clips each."""
    root = tmp_path_factory.mktemp("small-data")
    for machine, fundamental_hz in MACHINES.items():
        for domain, n_clips in (("source", 10), ("target", 4)):
            for i in range(n_clips):
                name = f"section_00_{domain}_train_normal_{i:04d}_spd_{i % 2}.wav"
                shift = 1.0 if domain == "source" else 1.1
                audio = machine_noise(fundamental_hz * shift, seed=i)
                write_clip(root / machine / "train" / name, audio)
            for label in ("normal", "anomaly"):
                for i in range(2):
                    name = f"section_00_{domain}_test_{label}_{i:04d}_noAttribute.wav"
                    audio = machine_noise(fundamental_hz, seed=100 + i, faulty=label == "anomaly")
                    write_clip(root / machine / "test" / name, audio)
    return root


@pytest.fixture(scope="session")
def small_clips(small_data: Path) -> dict[str, tuple[Clip, ...]]:
    """Training clips by machine."""
    return {name: machine.train for name, machine in scan([small_data]).machines.items()}


Tasks = dict[str, PlannedTask]  # by network


def new_run(
    path: Path, data: Path, *, systems: tuple[str, ...] = ("system4",), **sections: object
) -> tuple[Run, Tasks]:
    """A run folder for some data, and its tasks; two epochs of batches of 8 unless told.

    `sections` are settings as a TOML file would hold them; those of an extractor are added
    to the two that are set here.
    """
    settings: dict[str, object] = {"systems": systems, **sections}
    for name in RECIPES:
        own = sections.get(name, {})
        assert isinstance(own, dict)
        settings[name] = {"epochs": 2, "batch_size": 8, **own}
    config = TrainConfig.model_validate(settings)
    machines = scan([data]).machines
    clips = [clip for machine in machines.values() for clip in machine.train]
    folds = assign_folds(clips, {}, config.seed)
    tasks = plan_tasks(config, machines, folds)
    (rate_hz,) = {machine.sample_rate_hz for machine in machines.values()}
    windows = {name: machine.window_samples for name, machine in machines.items()}
    record = RunRecord(
        config=config,
        data=(str(data),),
        n_samples=max(windows.values()),
        sample_rate_hz=rate_hz,
        machines=windows,
        tasks={name: task.record for name, task in tasks.items()},
        tools={},
        folds=clips_record(folds),
    )
    run = Run(path, record)
    run.write()
    return run, tasks


@pytest.fixture(scope="session")
def small_run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished training of two epochs."""
    run, tasks = new_run(tmp_path_factory.mktemp("runs") / "small", small_data)
    train_network(run, "fkie", tasks["fkie"].items, device=torch.device("cpu"))
    return run


SILENT = ExportProgress(lambda text: None, lambda done, total: None)


@pytest.fixture(scope="session")
def small_bundle(
    small_run: Run,
    small_clips: dict[str, tuple[Clip, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> WrittenBundle:
    """An int8 bundle of the small run; what an encoder loses does not matter here."""
    out = tmp_path_factory.mktemp("bundles") / "small"
    lenient = Tolerance(cosine_mean=0.5, score_correlation=-1, size_ratio=0.9, speed_ratio=0.0)
    return write_bundle(small_run, small_clips, out, ExportOptions(tolerance=lenient), SILENT)
