"""The ResNet's input: what the two normalisations keep, and silence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor

from edge_asd_export.extractors.resnet.network import Normalise, NormalisedLogMel
from edge_asd_export.nn.front_ends import LogMel

LEVEL_DB = 0.02  # float32, near the 80 dB floor
NORMALISATIONS: tuple[Normalise, ...] = ("channel", "joint")


def noise(far_gain: float = 1.0, offset: float = 0.0) -> Tensor:
    """One clip (1, 2, 16000) of independent noise, the far channel at another level."""
    audio = 0.1 * torch.randn(1, 2, 16_000, generator=torch.Generator().manual_seed(0))
    return audio * torch.tensor([1.0, far_gain])[:, None] + offset


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_neither_gain_nor_offset_of_the_recorder_is_seen(normalise: Normalise) -> None:
    frontend = NormalisedLogMel(16_000, normalise)

    found = frontend(0.01 * noise() + 0.3)

    torch.testing.assert_close(found, frontend(noise()), rtol=0, atol=LEVEL_DB)


@pytest.mark.parametrize(("normalise", "difference_db"), [("channel", 0.0), ("joint", -20.0)])
def test_only_the_joint_scale_keeps_the_level_of_far_against_near(
    normalise: Normalise, difference_db: float
) -> None:
    frontend = NormalisedLogMel(16_000, normalise)

    softer = frontend(noise(far_gain=0.1))[0]

    relation_db = (softer[1] - softer[0]).mean() - (
        frontend(noise())[0, 1] - frontend(noise())[0, 0]
    ).mean()
    assert relation_db.item() == pytest.approx(difference_db, abs=LEVEL_DB)


def test_levels_are_those_of_audio_with_unit_variance() -> None:
    audio = noise(far_gain=0.5, offset=0.1)
    centred = audio - audio.mean(2, keepdim=True)
    unit = centred / centred.std(2, correction=0, keepdim=True)

    found = NormalisedLogMel(16_000, "channel")(audio)

    assert found.shape == (1, 2, 128, 32)
    torch.testing.assert_close(found, LogMel()(unit), rtol=0, atol=LEVEL_DB)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_a_silent_channel_stays_at_the_floor_beside_a_loud_one(normalise: Normalise) -> None:
    near = noise()[:, :1]
    audio = torch.cat([near - near.mean(), torch.zeros_like(near)], dim=1)

    level_db = NormalisedLogMel(16_000, normalise)(audio)[0]

    floor_db = level_db.max() - 80
    torch.testing.assert_close(level_db[1], floor_db.expand(128, 32), rtol=0, atol=LEVEL_DB)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize("level", [0.0, 0.25])
def test_a_silent_clip_is_the_same_at_any_offset(normalise: Normalise, level: float) -> None:
    level_db = NormalisedLogMel(16_000, normalise)(torch.full((1, 2, 16_000), level))

    assert torch.equal(level_db, torch.full((1, 2, 128, 32), -100.0))


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_the_exported_graph_gives_the_same_levels(normalise: Normalise, tmp_path: Path) -> None:
    frontend = NormalisedLogMel(16_000, normalise)
    path = tmp_path / "log_mel.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two exporters, tracing is the older
        torch.onnx.export(
            frontend, (torch.zeros(2, 2, 16_000),), str(path), input_names=["audio"],
            dynamic_axes={"audio": {0: "batch"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    audio = torch.cat([noise(), noise(0.1, 0.2), torch.zeros(1, 2, 16_000)])

    (found,) = ort.InferenceSession(str(path)).run(None, {"audio": audio.numpy()})

    np.testing.assert_allclose(found, frontend(audio).numpy(), atol=LEVEL_DB)
