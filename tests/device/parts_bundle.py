"""A bundle of every kind of part, on noise: it tells nothing apart, but all of it runs.

Two machines, ``fan`` and ``pump``. ``autoencoder@near`` has a network for each machine, of
which the second number of the output is the score. ``resnet@stereo`` hears both microphones
in five overlapping segments, and averages the distances to three class centres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from device.bundle_files import file_entries, seal
from device.mini_bundle import OPSET, save_graph
from numpy.typing import NDArray
from onnx import helper

from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import (
    BankSpec,
    BranchSpec,
    EncoderSpec,
    ExtractorSpec,
    FeatureSpec,
    FusionSpec,
    GoldenSpec,
    MachineSpec,
    Manifest,
    SegmentSpec,
    TermSpec,
    ThresholdSpec,
)
from edge_asd.bundle.manifest_file import write_manifest
from edge_asd.scoring.kinds import NearestSpec, OutputSpec
from edge_asd.scoring.scorer import normalise_rows

RATE_HZ = 16000
FRAME_SAMPLES, N_FRAMES, N_BANDS = 100, 16, 8
WINDOW_SAMPLES = FRAME_SAMPLES * N_FRAMES
HOP_S = 0.05
SEGMENTS = SegmentSpec(n_frames=4, hop_frames=3)
N_SEGMENTS = 5  # at frames 0, 3, 6, 9 and 12
MACHINES = ("fan", "pump")
GAIN = {"fan": 1.0, "pump": 3.0}  # of the output of a machine's autoencoder
CENTRES = normalise_rows(np.random.default_rng(3).standard_normal((3, 4)))
THRESHOLD = ThresholdSpec(
    threshold=1.0, clear_threshold=1.0, false_alarm_rate=0.1, method="none", n_scores=1
)
CENTRES_SCORER = NearestSpec(distance="cosine", average="scores")


def bands(n_channels: int) -> NDArray[np.float32]:
    """Filters (N_BANDS, n_channels, FRAME_SAMPLES) of a front-end."""
    shape = (N_BANDS, n_channels, FRAME_SAMPLES)
    return np.random.default_rng(n_channels).standard_normal(shape).astype(np.float32)


def mixing(dim: int) -> NDArray[np.float32]:
    """Weights (N_BANDS, dim) of an encoder."""
    return np.random.default_rng(dim).standard_normal((N_BANDS, dim)).astype(np.float32)


def window(seed: int) -> NDArray[np.float32]:
    """Noise (2, WINDOW_SAMPLES)."""
    noise = np.random.default_rng(seed).standard_normal((2, WINDOW_SAMPLES))
    return (0.1 * noise).astype(np.float32)


def write_parts_bundle(folder: Path) -> Path:
    """Write the bundle."""
    folder.mkdir(parents=True)
    for name, n_channels in (("autoencoder", 1), ("resnet", 2)):
        save_bands(folder / f"{name}.bands.onnx", n_channels)
    for machine, gain in GAIN.items():
        save_encoder(folder / f"autoencoder.{machine}.onnx", gain * mixing(2), N_FRAMES)
    save_encoder(folder / "resnet.onnx", mixing(4), SEGMENTS.n_frames)
    np.save(folder / "centres.npy", CENTRES)
    (folder / "golden.npz").write_bytes(b"")
    manifest = _write_manifest(folder)
    arrays = {}
    for machine in MACHINES:
        detector = Bundle.open(folder).detector(machine)
        arrays.update(golden.record(detector, [window(1), window(2)]))
    seal(folder, manifest, arrays)
    return folder


def save_bands(path: Path, n_channels: int) -> None:
    """Write a front-end: frames of all channels through N_BANDS filters."""
    save_graph(
        path,
        [helper.make_node("Conv", ["audio", "filters"], ["bands"], strides=[FRAME_SAMPLES])],
        {"filters": bands(n_channels)},
        audio=(n_channels, WINDOW_SAMPLES),
        output=(N_BANDS, N_FRAMES),
    )


def save_encoder(path: Path, weights: NDArray[np.float32], n_frames: int) -> None:
    """Write an encoder of one input: mean power of each band, then a matrix."""
    save_graph(
        path,
        [
            helper.make_node("Mul", ["bands", "bands"], ["power"]),
            helper.make_node("ReduceMean", ["power"], ["mean"], axes=[2], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["embedding"]),
        ],
        {"weights": weights},
        bands=(N_BANDS, n_frames),
        output=weights.shape[1:],
    )


def extractor_spec(
    network: str, encoder: str, n_channels: int, dim: int, segments: SegmentSpec | None = None
) -> ExtractorSpec:
    """What the manifest says of an extractor whose one feature is ``<network>.bands.onnx``."""
    feature = FeatureSpec(
        name="bands", kind="graph", file=f"{network}.bands.onnx", shape=(N_BANDS, N_FRAMES)
    )
    return ExtractorSpec(
        network=network,
        n_samples=WINDOW_SAMPLES,
        n_channels=n_channels,
        features=(feature,),
        segments=segments,
        encoder=EncoderSpec(file=encoder, precision="fp32", opset=OPSET),
        embedding_dim=dim,
    )


def _write_manifest(folder: Path) -> Manifest:
    machine = MachineSpec(
        window_samples=WINDOW_SAMPLES,
        banks={"resnet@stereo": {"source": BankSpec(file="centres.npy", n=3, dim=4)}},
        fusion=FusionSpec(
            terms=(
                TermSpec(of="autoencoder@near", weight=0.5),
                TermSpec(of="resnet@stereo", weight=0.5),
            ),
            method="equal",
        ),
        threshold=THRESHOLD,
    )
    return write_parts_manifest(
        folder,
        system="parts",
        extractors={
            **{
                f"autoencoder/{machine}": extractor_spec(
                    "autoencoder", f"autoencoder.{machine}.onnx", 1, 2
                )
                for machine in MACHINES
            },
            "resnet": extractor_spec("resnet", "resnet.onnx", 2, 4, SEGMENTS),
        },
        branches=(
            BranchSpec(extractor="autoencoder", view="near", scorer=OutputSpec(output=1)),
            BranchSpec(extractor="resnet", view="stereo", scorer=CENTRES_SCORER),
        ),
        machines={
            name: machine.model_copy(update={"extractors": {"autoencoder": f"autoencoder/{name}"}})
            for name in MACHINES
        },
    )


def write_parts_manifest(
    folder: Path,
    *,
    system: str,
    extractors: dict[str, ExtractorSpec],
    branches: tuple[BranchSpec, ...],
    machines: dict[str, MachineSpec],
) -> Manifest:
    """Write the manifest of the files that lie in `folder`."""
    manifest = Manifest(
        name=system,
        created_utc="2026-01-01T00:00:00Z",
        system=system,
        target="x86-64",
        tools={},
        sample_rate_hz=RATE_HZ,
        hop_s=HOP_S,
        extractors=extractors,
        branches=branches,
        machines=machines,
        golden=GoldenSpec(file="golden.npz"),
        files=file_entries(folder),
    )
    write_manifest(folder, manifest)
    return manifest
