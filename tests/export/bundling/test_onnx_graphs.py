"""Exported graphs give what torch gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edge_asd.bundle.bundle import open_extractors
from edge_asd.bundle.manifest import ExtractorSpec
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.graph_file import OPSET
from edge_asd_export.bundling.encoder_choice import spread_over
from edge_asd_export.bundling.onnx_graphs import write_extractor
from edge_asd_export.bundling.quantize import TARGETS, n_quantized_weights, quantize_encoder
from edge_asd_export.extractors.fkie.learner import FkieLearner, FkieSettings
from edge_asd_export.training.learner import Task, TrainableExtractor
from edge_asd_export.training.training_set import ClassName

N_SAMPLES = 16_000
RELATIVE = 1e-4  # float32 through twenty layers in two libraries


def warmed_up(fkie_input: str) -> TrainableExtractor:
    """An extractor whose normalisations have seen data."""
    torch.manual_seed(0)
    settings = FkieSettings.model_validate({"input": fkie_input})
    task = Task(
        N_SAMPLES,
        1,
        16_000,
        tuple(ClassName("fan", domain, "", "") for domain in ("source", "target")),
    )
    learner = FkieLearner(task, settings).train()
    for _ in range(3):
        learner.embed(0.05 * torch.randn(8, 1, N_SAMPLES))
    return learner.eval().extractor


def export(extractor: TrainableExtractor, folder: Path) -> ExtractorSpec:
    return write_extractor(extractor, "fkie", folder, network="fkie")


def runtime_extractor(spec: ExtractorSpec, folder: Path) -> Extractor:
    return open_extractors(folder, {"fkie": spec})["fkie"]


@pytest.fixture
def audio() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (0.05 * rng.standard_normal((3, 1, N_SAMPLES))).astype(np.float32)


@pytest.mark.parametrize("fkie_input", ["linear", "mel"])
def test_runtime_repeats_torch(fkie_input: str, audio: np.ndarray, tmp_path: Path) -> None:
    extractor = warmed_up(fkie_input)
    expected = extractor.encoder(*extractor.features(torch.from_numpy(audio))).detach().numpy()

    exported = export(extractor, tmp_path)
    found = runtime_extractor(exported, tmp_path)(audio)[:, 0]

    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=RELATIVE * scale)


def test_embeddings_do_not_depend_on_the_batch(audio: np.ndarray, tmp_path: Path) -> None:
    exported = export(warmed_up("linear"), tmp_path)
    runtime = runtime_extractor(exported, tmp_path)

    together = runtime(audio)
    alone = np.concatenate([runtime(window[None]) for window in audio])

    np.testing.assert_allclose(together, alone, atol=RELATIVE * np.abs(alone).max())


def test_shapes_of_the_manifest_are_those_of_the_graphs(audio: np.ndarray, tmp_path: Path) -> None:
    exported = export(warmed_up("linear"), tmp_path)

    features = runtime_extractor(exported, tmp_path).features(audio)

    assert {f.name: f.shape for f in exported.features} == {
        name: value.shape[1:] for name, value in features.items()
    }


def test_graphs_use_the_promised_operator_set(tmp_path: Path) -> None:
    exported = export(warmed_up("linear"), tmp_path)

    versions = {
        o.domain: o.version for o in onnx.load(str(tmp_path / exported.encoder.file)).opset_import
    }

    assert versions[""] == OPSET


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_int8_encoder_is_smaller_and_close(target: str, audio: np.ndarray, tmp_path: Path) -> None:
    exported = export(warmed_up("linear"), tmp_path)
    runtime = runtime_extractor(exported, tmp_path)
    original = tmp_path / exported.encoder.file
    int8 = tmp_path / "graphs" / "int8.onnx"

    quantize_encoder(original, int8, [runtime.features(w[None]) for w in audio],
                     TARGETS[target])  # fmt: skip

    spec = exported.model_copy(
        update={"encoder": exported.encoder.model_copy(update={"file": "graphs/int8.onnx"})}
    )
    fp32, found = (e(audio)[:, 0] for e in (runtime, runtime_extractor(spec, tmp_path)))
    cosine = (fp32 * found).sum(1) / np.linalg.norm(fp32, axis=1) / np.linalg.norm(found, axis=1)
    assert n_quantized_weights(original) == 0
    assert n_quantized_weights(int8) >= 15
    assert int8.stat().st_size < 0.5 * original.stat().st_size
    assert cosine.min() > 0.95


def test_spreading_takes_even_steps() -> None:
    assert spread_over(range(10), 4) == [0, 2, 5, 7]
    assert spread_over(range(3), 4) == [0, 1, 2]
