"""The operators that a device accepts are those that export writes, of every extractor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from export.beats_fakes import published, write

from edge_asd.bundle.bundle import open_extractors
from edge_asd.scoring.graph_file import OPERATORS, require_known_graph
from edge_asd_export.bundling.onnx_graphs import write_extractor
from edge_asd_export.bundling.quantize import TARGETS, quantize_encoder
from edge_asd_export.extractors.autoencoder.learner import AutoencoderSettings
from edge_asd_export.extractors.beats.learner import BeatsSettings
from edge_asd_export.extractors.fkie.learner import FkieSettings
from edge_asd_export.extractors.ltas.learner import LtasSettings
from edge_asd_export.extractors.resnet.learner import ResnetSettings
from edge_asd_export.training.learner import Task
from edge_asd_export.training.recipes import RECIPES
from edge_asd_export.training.training_set import ClassName

N_SAMPLES = 16_000
CLASSES = tuple(ClassName(name, domain, "", "") for name in "ab" for domain in ("source", "target"))


def graphs(extractor: str, settings: Any, folder: Path, target: str) -> Iterator[Path]:
    """Front-ends and encoder, the encoder as float32 and int8."""
    torch.manual_seed(0)
    n_channels = 2 if extractor == "resnet" else 1
    task = Task(N_SAMPLES, n_channels, 16_000, CLASSES)
    learner = RECIPES[extractor].learner(task, settings).eval()
    spec = write_extractor(learner.inference_extractor(), extractor, folder, network=extractor)
    audio = 0.05 * np.random.default_rng(0).standard_normal((1, n_channels, spec.n_samples))
    features = open_extractors(folder, {extractor: spec})[extractor].features(audio.astype("f4"))
    yield from (folder / feature.file for feature in spec.features if feature.file)
    yield folder / spec.encoder.file
    first = {name: values[:1] for name, values in features.items()}
    int8 = folder / "int8.onnx"
    quantize_encoder(folder / spec.encoder.file, int8, [first], TARGETS[target])
    yield int8


def every_extractor(folder: Path) -> Iterator[tuple[str, Any]]:
    yield "ltas", LtasSettings()
    yield "fkie", FkieSettings.model_validate({"input": "linear"})
    yield "fkie", FkieSettings.model_validate({"input": "mel"})
    yield "autoencoder", AutoencoderSettings()
    yield "beats", BeatsSettings(layer=1)
    yield "beats", BeatsSettings(checkpoint=str(write(folder / "tiny.pt", published())), layer=2)
    yield "resnet", ResnetSettings(width=4, normalise="joint")
    yield "resnet", ResnetSettings(width=40, embedding_dim=8)


@pytest.mark.timeout(600)
def test_a_device_accepts_the_operators_that_export_writes_and_no_others(tmp_path: Path) -> None:
    used: dict[str, set[str]] = {}
    for i, (extractor, settings) in enumerate(every_extractor(tmp_path)):
        target = sorted(TARGETS)[i % len(TARGETS)]
        for path in graphs(extractor, settings, tmp_path / str(i), target):
            require_known_graph(path)
            nodes = onnx.load(str(path)).graph.node
            used.setdefault(extractor, set()).update(node.op_type for node in nodes)

    assert used.keys() == RECIPES.keys()
    assert set().union(*used.values()) == OPERATORS
