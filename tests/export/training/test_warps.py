"""Copies of clips with other frequencies, which are classes of their own where there are few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from export.conftest import machine_noise, write_clip

from edge_asd.errors import UsageError
from edge_asd_export.data.clips import Clip, scan
from edge_asd_export.training import train_run as training
from edge_asd_export.training.config import TrainConfig, read_settings
from edge_asd_export.training.distributed import ALONE
from edge_asd_export.training.learner import FEW_CLASSES_WARPS
from edge_asd_export.training.tasks import plan_tasks
from edge_asd_export.training.training_set import Item, TrainingSet, training_items


def write_machine(root: Path, speeds: Sequence[int]) -> Path:
    """A machine with two clips at each speed, each speed a class."""
    for speed in speeds:
        for i in range(2):
            name = f"section_00_source_train_normal_{2 * speed + i:04d}_spd_{speed}.wav"
            write_clip(root / "saw" / "train" / name, machine_noise(90.0, seed=10 * speed + i))
    return root


def warps_of(network: str, system: str, data: Path) -> set[float]:
    config = TrainConfig(systems=(system,))
    record = plan_tasks(config, scan([data]).machines)[network].record
    return {one.warp for one in record.classes}


@pytest.mark.parametrize(
    ("network", "system", "n_speeds", "expected"),
    [
        ("fkie", "system4", 4, {1.0, *FEW_CLASSES_WARPS}),
        ("fkie", "system4", 5, {1.0}),
        ("resnet", "system2", 1, {1.0, *FEW_CLASSES_WARPS}),
        ("ltas", "system5", 4, {1.0, *FEW_CLASSES_WARPS}),
        ("ltas", "system5", 5, {1.0, 0.92, 1.09}),
        ("autoencoder/saw", "baseline-mse", 1, {1.0}),
    ],
)
def test_few_classes_get_copies(
    tmp_path: Path, network: str, system: str, n_speeds: int, expected: set[float]
) -> None:
    data = write_machine(tmp_path, range(n_speeds))

    assert warps_of(network, system, data) == expected


def test_every_copy_is_an_item_with_a_class_of_its_own(
    small_clips: dict[str, tuple[Clip, ...]],
) -> None:
    clips = small_clips["fan"]
    folds = {clip: i % 5 for i, clip in enumerate(clips)}

    items, classes = training_items(
        clips, ["near", "far"], view_classes=True, folds=folds, warps=(0.9, 1.1)
    )

    assert len(items) == 6 * len(clips)
    assert all(classes[item.label].warp == item.warp for item in items)
    assert all(item.fold == folds[item.clip] for item in items)
    assert len(classes) == 3 * len([one for one in classes if one.warp == 1.0])


@pytest.mark.parametrize("factor", [0.85, 1.18])
def test_a_copy_has_its_frequencies_multiplied(tmp_path: Path, factor: float) -> None:
    path = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    sf.write(path, np.stack([tone, tone], axis=1), 16_000, subtype="FLOAT")
    clip = Clip(path, "fan", "00", "train", "source", "normal", 0, "", 16_000)

    audio, _ = TrainingSet([Item(clip, "near", 0, warp=factor)], 12_000, seed=0)[0]

    spectrum = np.abs(np.fft.rfft(audio[0].numpy() * np.hanning(12_000)))
    assert spectrum.argmax() * 16_000 / 12_000 == pytest.approx(1000 * factor, abs=3)


@pytest.mark.parametrize("warps", ["[]", "[0.9]"])
def test_a_setting_chooses_the_copies(tmp_path: Path, warps: str) -> None:
    config = read_settings(None, {"systems": ["system4"]}, [f"fkie.warps={warps}"])

    record = plan_tasks(config, scan([write_machine(tmp_path, [1])]).machines)["fkie"].record

    assert {one.warp for one in record.classes} == {1.0, *map(float, warps[1:-1].split())}


@pytest.mark.parametrize("warps", ["[1.0]", "[0.9, 0.9]", "[3]"])
def test_copies_that_are_none_are_refused(warps: str) -> None:
    with pytest.raises(UsageError, match=r"fkie\.warps"):
        read_settings(None, {}, [f"fkie.warps={warps}"])


def test_train_says_what_it_made_of_few_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "_train_one", lambda *_: None)
    data = write_machine(tmp_path / "data", [1, 2])

    plan = training.new_run(tmp_path / "run", TrainConfig(systems=("system5",)), [data])
    training.train_all(plan, torch.device("cpu"), ALONE)

    told = capsys.readouterr().err
    assert "ltas: only 2 classes of machine, domain and attributes" in told
    assert "times 0.85, 0.92, 1.09, 1.18 are classes, too" in told
