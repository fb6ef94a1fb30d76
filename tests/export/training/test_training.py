"""What is refused or told before a training begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from export.conftest import machine_noise, write_clip

from edge_asd.errors import DataError, EdgeAsdError, UsageError
from edge_asd_export.training import train_run as training
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.distributed import ALONE


def write_machine(root: Path, n_clips: int) -> Path:
    """One machine, one domain, no attributes: one class."""
    for i in range(n_clips):
        name = f"section_00_source_train_normal_{i:04d}_noAttribute.wav"
        write_clip(root / "saw" / "train" / name, machine_noise(90.0, seed=i))
    return root


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"systems": ["system1"], "beats": {"layer": 9}}, UsageError, r"beats\.layer = 9"),
        ({"systems": ["system3"], "clip_s": 0.05}, UsageError, "BEATs needs 16 frames"),
        ({"systems": ["baseline-mse"], "clip_s": 0.05}, DataError, "at least 2048 samples"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_there_is_a_run(
    small_data: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    kind: type[EdgeAsdError],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        training.new_run(tmp_path / "run", TrainConfig.model_validate(settings), [small_data])

    assert not (tmp_path / "run").exists()


def test_a_machine_of_one_clip_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    data = write_machine(tmp_path / "data", n_clips=1)

    with pytest.raises(DataError, match="machine 'saw' has 1 train clip"):
        training.new_run(tmp_path / "run", TrainConfig(), [data])


@pytest.mark.parametrize(
    ("system", "n_warnings"),
    [("system2", 1), ("system4", 0), ("baseline-mse", 0)],  # near and far are two classes
)
def test_a_network_with_nothing_to_tell_apart_is_told_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    n_warnings: int,
) -> None:
    monkeypatch.setattr(training, "_train_one", lambda *_: None)
    data = write_machine(tmp_path / "data", n_clips=2)
    config = TrainConfig.model_validate({"systems": [system], "resnet": {"width": 4, "warps": []}})

    training.train_all(
        training.new_run(tmp_path / "run", config, [data]), torch.device("cpu"), ALONE
    )

    assert capsys.readouterr().err.count("all clips are of one class") == n_warnings
