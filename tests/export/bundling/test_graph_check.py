"""An int8 encoder must earn its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_asd.scoring.ensemble import ReferenceSet
from edge_asd.scoring.held_out import held_out_scores
from edge_asd.scoring.kinds import DldnSpec
from edge_asd.scoring.scorer import normalise_rows
from edge_asd_export.bundling import graph_check
from edge_asd_export.bundling.graph_check import Tolerance, compare_encoders
from edge_asd_export.bundling.quantize import (
    TARGETS,
    Features,
    first_weighted_nodes,
    n_quantized_weights,
    quantize_encoder,
)

N_INPUTS, DIM = 64, 32


def write_encoder(
    path: Path, *, seed: int = 0, divide_by: NDArray[np.float32] | None = None
) -> Path:
    """Two dense layers, the second of which gets quantized."""
    rng = np.random.default_rng(seed)
    weights = {
        "deviation": np.ones(1, np.float32) if divide_by is None else divide_by,
        "w1": rng.standard_normal((N_INPUTS, 256)).astype(np.float32),
        "w2": rng.standard_normal((256, DIM)).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Div", ["x", "deviation"], ["standard"], name="divide"),
            helper.make_node("MatMul", ["standard", "w1"], ["h"], name="first"),
            helper.make_node("Relu", ["h"], ["r"], name="relu"),
            helper.make_node("MatMul", ["r", "w2"], ["embedding"], name="second"),
        ],
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", N_INPUTS])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.fixture
def windows() -> list[Features]:
    rng = np.random.default_rng(1)
    return [{"x": rng.standard_normal((1, N_INPUTS)).astype(np.float32)} for _ in range(24)]


def score(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score each window by the others."""
    references = ReferenceSet.known_to_all(normalise_rows(embeddings))
    return held_out_scores({"source": references}, {"source": np.arange(24)}, DldnSpec())["source"]


def compare(tmp_path: Path, int8: Path, windows: list, **tolerance: float):
    loose = {"cosine_mean": -1.0, "score_correlation": -2.0, "size_ratio": 9.0, "speed_ratio": 0.0}
    return compare_encoders(
        "fkie", tmp_path / "fp32.onnx", int8, windows, score, "x86-64",
        Tolerance(**{**loose, **tolerance}),
    )  # fmt: skip


@pytest.fixture
def int8(tmp_path: Path, windows: list) -> Path:
    write_encoder(tmp_path / "fp32.onnx")
    path = tmp_path / "int8.onnx"
    quantize_encoder(tmp_path / "fp32.onnx", path, windows, TARGETS["x86-64"])
    return path


def test_only_weights_behind_the_first_layer_are_quantized(tmp_path: Path, int8: Path) -> None:
    graph = onnx.load(str(tmp_path / "fp32.onnx")).graph

    assert first_weighted_nodes(graph, ("MatMul",)) == ["first"]
    assert n_quantized_weights(int8) == 1


def test_the_first_layer_is_quantized_where_each_bin_has_its_own_scale(
    tmp_path: Path, windows: list
) -> None:
    deviation = np.linspace(0.5, 2.0, N_INPUTS, dtype=np.float32)
    write_encoder(tmp_path / "fp32.onnx", divide_by=deviation)

    quantize_encoder(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", windows, TARGETS["x86-64"])

    assert n_quantized_weights(tmp_path / "int8.onnx") == 2


def test_good_encoder_is_kept(tmp_path: Path, int8: Path, windows: list) -> None:
    report = compare(tmp_path, int8, windows, cosine_mean=0.98, score_correlation=0.9)

    assert report.precision == "int8"
    assert report.refused_because is None
    assert 0.98 < report.cosine_mean <= 1
    assert report.size_ratio == int8.stat().st_size / (tmp_path / "fp32.onnx").stat().st_size


def test_encoder_that_was_not_quantized_is_refused(tmp_path: Path, windows: list) -> None:
    write_encoder(tmp_path / "fp32.onnx")
    write_encoder(tmp_path / "silent-no-op.onnx")

    report = compare(tmp_path, tmp_path / "silent-no-op.onnx", windows)

    assert report.precision == "fp32"
    assert report.refused_because == "no weight was quantized"


def test_encoder_of_other_weights_is_refused(tmp_path: Path, windows: list) -> None:
    write_encoder(tmp_path / "fp32.onnx")
    write_encoder(tmp_path / "other.onnx", seed=7)
    quantize_encoder(tmp_path / "other.onnx", tmp_path / "int8.onnx", windows,
                     TARGETS["x86-64"])  # fmt: skip

    report = compare(tmp_path, tmp_path / "int8.onnx", windows, cosine_mean=0.98)

    assert report.precision == "fp32"
    assert "mean cosine" in str(report.refused_because)


@pytest.mark.parametrize(
    ("tolerance", "reason"),
    [
        ({"size_ratio": 0.01}, "size ratio"),
        ({"score_correlation": 1.01}, "score correlation"),
    ],
)
def test_each_tolerance_can_refuse(
    tmp_path: Path, int8: Path, windows: list, tolerance: dict[str, float], reason: str
) -> None:
    report = compare(tmp_path, int8, windows, **tolerance)

    assert reason in str(report.refused_because)


def test_slower_encoder_is_refused_on_a_host_that_can_tell(
    tmp_path: Path, int8: Path, windows: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_check, "host_runs", lambda target: True)

    report = compare(tmp_path, int8, windows, speed_ratio=1e9)

    assert "speed ratio" in str(report.refused_because)


def test_a_measurement_that_leaves_it_open_which_is_faster_keeps_int8(
    tmp_path: Path, int8: Path, windows: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of a busy computer: on the whole int8 takes as long as float32."""
    monkeypatch.setattr(graph_check, "host_runs", lambda target: True)
    luck = np.random.default_rng(0)
    now_s = 0.0

    def busy_clock() -> float:
        nonlocal now_s
        now_s += luck.lognormal(sigma=0.5)
        return now_s

    monkeypatch.setattr("time.thread_time", busy_clock)
    reports = [compare(tmp_path, int8, windows, speed_ratio=1.0) for _ in range(20)]

    assert {report.precision for report in reports} == {"int8"}
    assert min(report.speed_ratio or 0 for report in reports) < 1.0


def test_int8_can_be_forced(tmp_path: Path, int8: Path, windows: list) -> None:
    write_encoder(tmp_path / "fp32.onnx", seed=7)

    report = compare_encoders("fkie", tmp_path / "fp32.onnx", int8, windows, score, "x86-64", None)

    assert report.precision == "int8"
    assert report.cosine_mean < 0.9


def test_speed_is_not_measured_on_another_processor_family(
    tmp_path: Path, int8: Path, windows: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_check, "host_runs", lambda target: False)

    report = compare(tmp_path, int8, windows, speed_ratio=1e9)

    assert report.speed_ratio is None
    assert report.precision == "int8"
