"""Bundles of the baselines: one network for each machine, one front-end, no banks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export.conftest import MACHINES, SILENT, machine_noise, new_run, write_clip
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.bundle import golden
from edge_asd.bundle.arrays import read_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.scoring.extractor import Extractor
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions
from edge_asd_export.bundling.graph_check import Tolerance
from edge_asd_export.bundling.onnx_graphs import write_extractor
from edge_asd_export.bundling.quantize import n_quantized_weights
from edge_asd_export.data.clips import scan
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import new_learner, train_network

CLIP_SAMPLES = 8_192
SYSTEMS = ("baseline-mse", "baseline-mahala")
GRAPHS = 1e-3  # relative: normalisations are folded, and errors squared, in float32
# Int8 need not be faster or exact here, only close.
LENIENT = Tolerance(cosine_mean=0.9, score_correlation=0.8, size_ratio=0.9, speed_ratio=0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines; only the fan has clips of the target domain. The fan whines in its tests."""
    root = tmp_path_factory.mktemp("baseline-data")
    for machine, fundamental_hz in MACHINES.items():
        for domain, n_clips in (("source", 8), ("target", 3 * (machine == "fan"))):
            for i in range(n_clips):
                name = f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"
                audio = machine_noise(fundamental_hz, seed=i)[:, :CLIP_SAMPLES]
                write_clip(root / machine / "train" / name, audio)
    for label in ("normal", "anomaly"):
        audio = machine_noise(MACHINES["fan"], seed=100, faulty=label == "anomaly")
        name = f"section_00_source_test_{label}_0000_noAttribute.wav"
        write_clip(root / "fan" / "test" / name, audio[:, :CLIP_SAMPLES])
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Both baselines of both machines, trained for as long as their statistics need."""
    settings = {"epochs": 30, "batch_size": 32, "learning_rate": 0.01}
    path = tmp_path_factory.mktemp("runs") / "baselines"
    run, tasks = new_run(path, data, systems=SYSTEMS, autoencoder=settings)
    for name, task in tasks.items():
        train_network(run, name, task.items, device=torch.device("cpu"))
    return run


def export(run: Run, data: Path, out: Path, options: ExportOptions) -> Bundle:
    clips = {name: machine.train for name, machine in scan([data]).machines.items()}
    return Bundle.open(write_bundle(run, clips, out, options, SILENT).path)


@pytest.fixture(scope="module", params=SYSTEMS)
def bundle(
    run: Run, data: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The float32 bundle of a baseline."""
    out = tmp_path_factory.mktemp("bundles") / request.param
    return export(run, data, out, ExportOptions(system=request.param, quantize="none"))


def frames_of(extractor: Extractor, clip: Path) -> NDArray[np.float64]:
    """Log-mel frames of the near channel."""
    near = read_audio(clip)[0][None, :1]
    (frames,) = extractor.features(near)["frames"][0].astype(np.float64)
    return np.asarray(frames.T)  # (n_frames, 128)


def squared_error(frames: NDArray[np.float64], state: dict[str, NDArray[np.float64]]) -> float:
    """Mean squared error of a clip, from a checkpoint's weights by the textbook's formulas."""
    vectors = np.stack([frames[i : i + 5].ravel() for i in range(len(frames) - 4)])
    x = vectors
    for layer in range(0, 28, 3):  # linear, normalisation, rectifier
        x = x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
        if layer < 27:
            norm = layer + 1
            deviation = np.sqrt(state[f"{norm}.running_var"] + 1e-3)
            x = (x - state[f"{norm}.running_mean"]) / deviation
            x = np.maximum(x * state[f"{norm}.weight"] + state[f"{norm}.bias"], 0)
    return float(np.mean((vectors - x) ** 2))


def test_machines_have_networks_of_their_own_and_share_the_front_end(bundle: Bundle) -> None:
    manifest = bundle.manifest

    assert sorted(manifest.extractors) == ["autoencoder/fan", "autoencoder/pump"]
    files = {spec.features[0].file for spec in manifest.extractors.values()}
    assert files == {f"graphs/autoencoder.frames.{CLIP_SAMPLES}.onnx"}
    assert sorted(path.name for path in (bundle.path / "graphs").iterdir()) == [
        "autoencoder.fan.encoder.onnx",
        f"autoencoder.frames.{CLIP_SAMPLES}.onnx",
        "autoencoder.pump.encoder.onnx",
    ]
    assert not any(machine.banks for machine in manifest.machines.values())


def test_machines_of_other_lengths_have_inputs_of_their_own_length(tmp_path: Path) -> None:
    lengths = {"fan": 8_192, "pump": 12_288}
    for machine, n_samples in lengths.items():
        audio = machine_noise(MACHINES[machine], seed=0)[:, :n_samples]
        name = "section_00_source_train_normal_0000_noAttribute.wav"
        write_clip(tmp_path / "data" / machine / "train" / name, audio)
    run, _ = new_run(tmp_path / "run", tmp_path / "data", systems=("baseline-mse",))

    specs = {
        machine: write_extractor(
            new_learner(run, f"autoencoder/{machine}").inference_extractor(),
            f"autoencoder/{machine}",
            tmp_path,
            network="autoencoder",
        )
        for machine in lengths
    }

    assert {machine: spec.n_samples for machine, spec in specs.items()} == lengths
    assert [spec.features[0].shape[-1] for spec in specs.values()] == [17, 25]
    assert len({spec.features[0].file for spec in specs.values()}) == 2


def test_score_is_one_of_the_two_outputs(bundle: Bundle, data: Path) -> None:
    clip, _ = read_audio(next((data / "fan" / "train").iterdir()))
    detector = bundle.detector("fan")

    outputs = detector.embeddings(clip)["autoencoder@near"]

    assert outputs.shape == (1, 2)
    output = SYSTEMS.index(bundle.manifest.system)
    assert detector.score(clip).score == pytest.approx(outputs[0, output], rel=GRAPHS)


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_squared_error_is_that_of_the_trained_weights(
    run: Run, bundle: Bundle, data: Path, machine: str
) -> None:
    checkpoint = run.checkpoint(f"autoencoder/{machine}")
    assert checkpoint is not None
    prefix = "extractor.encoder.layers."
    state = {
        name.removeprefix(prefix): value.double().numpy()
        for name, value in checkpoint["learner"].items()
        if name.startswith(prefix)
    }
    clip = next((data / machine / "train").iterdir())
    extractor = bundle.extractors(machine)[f"autoencoder/{machine}"]

    outputs = extractor(read_audio(clip)[0][None, :1])

    expected = squared_error(frames_of(extractor, clip), state)
    assert outputs[0, 0, 0] == pytest.approx(expected, rel=GRAPHS)


def test_a_whine_scores_above_normal_sound(bundle: Bundle, data: Path) -> None:
    detector = bundle.detector("fan")
    normal, anomaly = (
        detector.score(read_audio(next((data / "fan" / "test").glob(f"*{label}*")))[0]).score
        for label in ("normal", "anomaly")
    )

    assert anomaly > normal


def test_golden_windows_of_both_domains_repeat(bundle: Bundle) -> None:
    arrays = read_arrays(bundle.path / bundle.manifest.golden.file, "golden windows")

    fan, pump = (golden.compare(bundle.detector(name), arrays) for name in ("fan", "pump"))

    assert (fan.n_windows, pump.n_windows) == (3, 2)
    assert max(fan.max_score_difference, pump.max_score_difference) < GRAPHS


def test_int8_rounds_the_layers_and_leaves_the_whitening(
    run: Run, data: Path, tmp_path: Path
) -> None:
    options = ExportOptions(system="baseline-mahala", tolerance=LENIENT)

    bundle = export(run, data, tmp_path / "int8", options)

    for machine in MACHINES:
        report = bundle.manifest.export_report[f"autoencoder/{machine}"]
        assert report["refused_because"] is None
        encoder = bundle.path / f"graphs/autoencoder.{machine}.encoder.int8.onnx"
        assert n_quantized_weights(encoder) >= 9  # of ten layers, perhaps not the first
        (whitening,) = (t for t in onnx.load(encoder).graph.initializer if t.name == "whitening")
        assert whitening.data_type == onnx.TensorProto.FLOAT


def test_encoder_that_int8_spoils_ships_as_float32(run: Run, data: Path, tmp_path: Path) -> None:
    options = ExportOptions(tolerance=replace(LENIENT, size_ratio=0.1))

    bundle = export(run, data, tmp_path / "fp32", options)

    assert {spec.encoder.precision for spec in bundle.manifest.extractors.values()} == {"fp32"}
