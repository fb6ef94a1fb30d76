"""The audio of training clips is in memory no longer than an export needs it."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from export.conftest import SILENT, new_run
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import train_network

Audio = NDArray[np.float32]

N_GOLDEN = 4  # clips of each machine behind its golden windows
N_IN_HAND = 1  # the clip that is being embedded


@pytest.fixture
def read_clips(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Audio]]:
    """Audio that an export has read so far."""
    refs: list[weakref.ref[Audio]] = []

    def watched(path: Path) -> tuple[Audio, int]:
        audio, rate_hz = read_audio(path)
        owner = audio.copy()  # views of it keep it alive
        refs.append(weakref.ref(owner))
        return owner, rate_hz

    monkeypatch.setattr("edge_asd_export.bundling.embedded_clips.read_audio", watched)
    return refs


def n_alive(refs: list[weakref.ref[Audio]]) -> int:
    return sum(ref() is not None for ref in refs)


def test_clips_are_let_go_when_they_are_embedded(
    small_run: Run,
    small_clips: dict[str, tuple[Clip, ...]],
    tmp_path: Path,
    read_clips: list[weakref.ref[Audio]],
) -> None:
    after: list[int] = []
    progress = ExportProgress(SILENT.say, lambda done, total: after.append(n_alive(read_clips)))

    write_bundle(small_run, small_clips, tmp_path / "bundle", ExportOptions(), progress)

    assert after[0] == len(after) == 28  # all were read to choose the precision
    assert after[-1] <= N_GOLDEN * len(small_clips) + N_IN_HAND


def test_the_clips_of_one_machine_at_a_time_where_each_has_a_network(
    small_data: Path,
    small_clips: dict[str, tuple[Clip, ...]],
    tmp_path: Path,
    read_clips: list[weakref.ref[Audio]],
) -> None:
    run, tasks = new_run(tmp_path / "run", small_data, systems=("baseline-mse",))
    for name, task in tasks.items():
        train_network(run, name, task.items, device=torch.device("cpu"))
    after: list[int] = []
    progress = ExportProgress(SILENT.say, lambda done, total: after.append(n_alive(read_clips)))

    write_bundle(run, small_clips, tmp_path / "bundle", ExportOptions(), progress)

    assert len(after) == 28
    assert max(after) <= 14 + N_GOLDEN + N_IN_HAND
