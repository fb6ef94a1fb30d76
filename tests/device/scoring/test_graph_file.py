"""Graphs from elsewhere: only what export writes is given to ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from device.mini_bundle import write_mini_bundle
from onnx import TensorProto, helper, numpy_helper

from edge_asd.bundle import limits
from edge_asd.errors import BundleError
from edge_asd.scoring import graph_file
from edge_asd.scoring.graph import open_session
from edge_asd.scoring.graph_file import require_known_graph


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    return onnx.load(write_mini_bundle(tmp_path_factory.mktemp("graphs") / "b") / "frontend.onnx")


@pytest.fixture
def model(sound: onnx.ModelProto) -> onnx.ModelProto:
    """A front-end with the weights ``kernels``, ``pairs`` and ``floor``, that a test may change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(sound)
    return copy


def external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def location_alone(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[1].attribute.append(helper.make_attribute("body", body))


def function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Mul", ["x", "x"], ["y"])
    model.functions.append(helper.make_function("", "F", ["x"], ["y"], [node], []))


def another_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.microsoft"


def another_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Loop"


def a_long_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Mul" * 100


def another_version(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


def a_second_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def sparse_weights(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**40]))


def texts(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(data_type=TensorProto.STRING, string_data=[b"x"]))


def a_large_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 2**30


def an_absurd_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -1


def an_absurd_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40


def a_large_constant(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[2**30], raw_data=b"1234")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def a_sequence(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_weights, "a tensor has the field 13"),
        (location_alone, "weights are in another file"),
        (subgraph, "an? attribute has the field 6"),
        (function, "a model has the field 25"),
        (another_domain, "operator 'com.microsoft.Mul', which export does not write"),
        (another_operator, "operator 'Loop'"),
        (a_long_operator, r"operator '\.\.\.'"),
        (another_version, r"'' \[21\], expected those of version 17"),
        (a_second_domain, "'com.microsoft'"),
        (sparse_weights, "a graph has the field 15"),
        (texts, "a tensor has the field 6"),
        (a_large_shape, r"a weight of shape \[1073741824, 1, 256\] has 32768 bytes"),
        (an_absurd_shape, "a dimension that is too large"),
        (an_absurd_input, "a dimension that is too large"),
        (a_large_constant, r"a weight of shape \[1073741824\] has 4 bytes"),
        (a_sequence, "a type has the field 4"),
    ],
)
def test_a_graph_that_export_cannot_have_written_is_refused(
    model: onnx.ModelProto,
    tmp_path: Path,
    change: Callable[[onnx.ModelProto], None],
    message: str,
) -> None:
    change(model)
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(BundleError, match=message) as caught:
        open_session(tmp_path / "x.onnx")

    assert "\n" not in str(caught.value)


def test_a_graph_is_opened_in_the_format_that_was_looked_at(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    onnx.save(model, tmp_path / "x.ort")  # a name by which ONNX Runtime knows its own format

    assert [node.name for node in open_session(tmp_path / "x.ort").get_inputs()] == ["audio"]


def field(number: int, content: bytes) -> bytes:
    """Bytes as a field of protocol buffers; below 16,384 of them."""
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (field(7, b"")[:-2], "ends too early"),
        (field(7, b"1234567")[:-2], "longer than what it is in"),
        (field(7, field(1, field(4, b"Mul"))[:-1] + b"\xff"), "'Mu"),
        (field(7, b"") * 2, "field 7 of a model is there twice"),
        (field(7, field(5, field(1, b"\x01" * 200))), "field 1 is packed"),
        (field(7, field(5, field(1, b"\x01\x01"))), "field 1 is packed"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x08" + b"\xff" * 11, "one of its numbers is too long"),
        (field(7, field(1, field(1, b"x") + b"\x80")), "ends too early|longer than the whole"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.onnx").write_bytes(content)

    with pytest.raises(BundleError, match=message):
        require_known_graph(tmp_path / "x.onnx")


def test_a_file_of_countless_fields_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_file, "GRAPH_FIELDS", 1000)
    (tmp_path / "x.onnx").write_bytes(field(14, b"") * 2000)

    with pytest.raises(BundleError, match="more than 1000 fields"):
        require_known_graph(tmp_path / "x.onnx")


def test_a_sparse_file_of_terabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.onnx").open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(BundleError, match=f"at most {limits.FILE_BYTES} are read"):
        require_known_graph(tmp_path / "x.onnx")
