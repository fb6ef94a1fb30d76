"""A real bundle small enough to make in a second, and the sounds that it knows.

Its network measures energy at sixteen frequencies; a fault is a tone that the normal
machine does not make. As an ensemble it has several such networks, which mix the frequencies
in different ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from device.bundle_files import file_entries, seal
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import (
    BankSpec,
    BranchSpec,
    Domain,
    EncoderSpec,
    ExtractorSpec,
    FeatureSpec,
    FusionSpec,
    GoldenSpec,
    MachineSpec,
    Manifest,
    TermSpec,
    ThresholdSpec,
)
from edge_asd.bundle.manifest_file import write_manifest
from edge_asd.scoring.kinds import DldnSpec
from edge_asd.scoring.scorer import normalise_rows

RATE_HZ = 16000
WINDOW_SAMPLES = 16000
HOP_S = 0.5
MACHINE = "pump"
BRANCHES = ("fkie@near", "fkie@far")

_TAPS = 256
_FREQUENCIES_HZ = np.arange(1, 17) * 375.0
OPSET = 17
N_BANDS = len(_FREQUENCIES_HZ)
N_REFERENCES = 24
CENTRE = np.eye(N_BANDS, dtype=np.float32) - np.float32(1 / N_BANDS)
Matrix = NDArray[np.float32]


def machine_sound(
    seconds: float, *, seed: int, faulty: bool = False, rate_hz: int = RATE_HZ
) -> NDArray[np.float32]:
    """Two channels of a machine (2, n): hum and noise; a fault adds a tone."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    hum = 0.2 * np.sin(2 * np.pi * 375 * time_s) + 0.1 * np.sin(2 * np.pi * 750 * time_s)
    # The same density at every rate: power grows with the bandwidth.
    noise = 0.01 * np.sqrt(rate_hz / RATE_HZ) * rng.standard_normal((2, len(time_s)))
    tone = 0.2 * np.sin(2 * np.pi * 3000 * time_s) * faulty
    sound: NDArray[np.float32] = ((hum + tone) * np.array([[1.0], [0.5]]) + noise).astype("f4")
    return sound


def machine_day(parts: Mapping[str, float], *, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Seconds of sounds one after the other; names that start with ``fault`` are faulty."""
    return np.concatenate(
        [
            machine_sound(seconds, seed=100 + i, faulty=name.startswith("fault"), rate_hz=rate_hz)
            for i, (name, seconds) in enumerate(parts.items())
        ],
        axis=1,
    )


def mixings(members: int) -> list[Matrix]:
    """A matrix (N_BANDS, N_BANDS) for each member of an ensemble."""
    rng = np.random.default_rng(0)
    turns = [np.linalg.qr(rng.standard_normal((N_BANDS, N_BANDS)))[0] for _ in range(members)]
    return [(CENTRE @ turn).astype(np.float32) for turn in turns]


def write_mini_bundle(
    folder: Path, members: Sequence[Matrix] = (CENTRE,), folds: Sequence[int] | None = None
) -> Path:
    """Write a bundle whose threshold separates normal from faulty windows.

    Parameters
    ----------
    members : how each network mixes the bands
    folds : of an ensemble, of the N_REFERENCES references; None: those of every member in turn
    """
    folder.mkdir(parents=True)
    numbers = np.arange(N_REFERENCES) % len(members) if folds is None else np.array(folds)
    save_graph(
        folder / "frontend.onnx",
        _frontend_nodes(),
        _frontend_weights(),
        audio=(1, WINDOW_SAMPLES),
        output=(16,),
    )
    _save_encoder(folder / "encoder.onnx", members)
    width = len(members) * N_BANDS
    for branch in BRANCHES:
        np.save(folder / f"{branch}.npy", np.zeros((N_REFERENCES, width), np.float32))
        if len(members) > 1:
            np.save(folder / f"{branch}.folds.npy", numbers.astype(np.int8))
    (folder / "golden.npz").write_bytes(b"")
    n = len(members)
    _write_manifest(folder, ThresholdSpec(**_levels(2.0, 1.0)), n)

    extractor = Bundle.open(folder).extractors()["fkie"]
    normal = np.stack([machine_sound(1.0, seed=seed) for seed in range(N_REFERENCES)])
    for channel, branch in enumerate(BRANCHES):
        rows = normalise_rows(extractor(normal[:, [channel]]))
        np.save(folder / f"{branch}.npy", rows.reshape(N_REFERENCES, width))
    _write_manifest(folder, ThresholdSpec(**_levels(2.0, 1.0)), n)

    detector = Bundle.open(folder).detector()
    highest = max(detector.score(machine_sound(1.0, seed=s)).score for s in range(50, 60))
    # Half a window of a fault must be enough, as it is for a network that was trained.
    lowest = min(
        detector.score(machine_day({"normal": 0.5, "fault": 0.5})).score,
        detector.score(machine_sound(1.0, seed=70, faulty=True)).score,
    )
    assert lowest > 3 * highest
    threshold = float(np.sqrt(highest * lowest))
    levels = _levels(threshold, (highest + threshold) / 2)
    manifest = _write_manifest(folder, ThresholdSpec(**levels), n)
    windows = [machine_sound(1.0, seed=s) for s in (50, 51)]
    seal(folder, manifest, golden.record(Bundle(folder, manifest).detector(), windows))
    return folder


def _levels(threshold: float, clear_threshold: float) -> dict[str, Any]:
    return {
        "threshold": threshold,
        "clear_threshold": clear_threshold,
        "false_alarm_rate": 0.01,
        "method": "between the loudest normal and the quietest faulty window",
        "n_scores": 10,
    }


def _frontend_weights() -> dict[str, NDArray[Any]]:
    phase = 2 * np.pi * _FREQUENCIES_HZ[:, None] * np.arange(_TAPS) / RATE_HZ
    kernels = np.concatenate([np.cos(phase), np.sin(phase)]) * np.hanning(_TAPS)
    return {
        "kernels": kernels[:, None].astype(np.float32),
        "pairs": np.tile(np.eye(16, dtype=np.float32), (2, 1)),
        "floor": np.array(1e-6, np.float32),
    }


def _frontend_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Conv", ["audio", "kernels"], ["waves"], strides=[_TAPS // 2]),
        helper.make_node("Mul", ["waves", "waves"], ["power"]),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["mean", "pairs"], ["sums"]),
        helper.make_node("Add", ["sums", "floor"], ["floored"]),
        helper.make_node("Log", ["floored"], ["energy"]),
    ]


def save_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, NDArray[Any]],
    *,
    output: tuple[int, ...],
    **inputs: tuple[int, ...],
) -> None:
    """Write a graph of one output; shapes are without the batch axis."""

    def tensor(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape))

    graph = helper.make_graph(
        nodes,
        path.stem,
        [tensor(name, shape) for name, shape in inputs.items()],
        [tensor(nodes[-1].output[0], output)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def _save_encoder(path: Path, members: Sequence[Matrix]) -> None:
    """Write the bands through each matrix; (B, members, N_BANDS) where there are several."""
    n = len(members)
    nodes = [helper.make_node("MatMul", ["energy", "mixing"], ["embedding"])]
    weights: dict[str, NDArray[Any]] = {"mixing": np.concatenate(members, axis=1)}
    if n > 1:
        nodes = [
            helper.make_node("MatMul", ["energy", "mixing"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["embedding"]),
        ]
        weights["shape"] = np.array([-1, n, N_BANDS])
    output = (N_BANDS,) if n == 1 else (n, N_BANDS)
    save_graph(path, nodes, weights, energy=(N_BANDS,), output=output)


def _write_manifest(folder: Path, threshold: ThresholdSpec, members: int) -> Manifest:
    banks: dict[str, dict[Domain, BankSpec]] = {
        branch: {
            "source": BankSpec(
                file=f"{branch}.npy",
                n=N_REFERENCES,
                dim=members * N_BANDS,
                folds_file=f"{branch}.folds.npy" if members > 1 else None,
            )
        }
        for branch in BRANCHES
    }
    manifest = Manifest(
        name="mini",
        created_utc="2026-01-01T00:00:00Z",
        system="system4",
        target="x86-64",
        tools={},
        sample_rate_hz=RATE_HZ,
        hop_s=HOP_S,
        extractors={
            "fkie": ExtractorSpec(
                network="fkie",
                n_samples=WINDOW_SAMPLES,
                n_channels=1,
                features=(
                    FeatureSpec(name="energy", kind="graph", file="frontend.onnx", shape=(16,)),
                ),
                encoder=EncoderSpec(file="encoder.onnx", precision="fp32", opset=OPSET),
                embedding_dim=N_BANDS,
                members=members,
            )
        },
        branches=tuple(
            BranchSpec(extractor="fkie", view=view, scorer=DldnSpec()) for view in ("near", "far")
        ),
        machines={
            MACHINE: MachineSpec(
                window_samples=WINDOW_SAMPLES,
                banks=banks,
                fusion=FusionSpec(
                    terms=tuple(TermSpec(of=branch, weight=0.5) for branch in BRANCHES),
                    method="equal",
                ),
                threshold=threshold,
            )
        },
        golden=GoldenSpec(file="golden.npz"),
        files=file_entries(folder),
    )
    write_manifest(folder, manifest)
    return manifest
