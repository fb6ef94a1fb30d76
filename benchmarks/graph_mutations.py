"""ONNX graphs as strangers make them: other operators, wiring, weights, shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import numpy as np
import onnx

__all__ = ["edit_graph"]

_OPERATORS = [
    *("Loop", "If", "Scan", "Abs", "Add", "Mul", "Div", "Sub", "Relu", "Identity", "Sqrt", "Log"),
    *("Expand", "ConstantOfShape", "Pad", "Reshape", "Transpose", "Gather", "Slice", "Concat"),
    *("Softmax", "MaxPool", "Where", "Shape", "MatMul", "MatMulInteger", "QuantizeLinear", "Conv"),
]


def edit_graph(content: bytes, random: Random) -> tuple[bytes, str]:
    """Return the bytes of a changed graph, and what was changed.

    Raises
    ------
    ValueError, IndexError
        When a graph that was changed before does not allow it.
    """
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # of protocol buffers, which have no types for mypy
        raise ValueError(str(error)) from error
    said = _GRAPH_EDITS[random.choice(list(_GRAPH_EDITS))](model, random)
    return model.SerializeToString(), said


def _operator(model: onnx.ModelProto, random: Random) -> str:
    node = random.choice(model.graph.node)
    node.op_type = random.choice(_OPERATORS)
    return f"operator {node.op_type}"


def _attribute(model: onnx.ModelProto, random: Random) -> str:
    node = random.choice(model.graph.node)
    number = random.choice((0, 1, -1, 2, 3, 2**31, 2**40, -(2**63)))
    name = random.choice(("axis", "axes", "group", "strides", "pads", "dilations", "kernel_shape"))
    value = random.choice((number, [number], [number] * 4, float("nan"), "x", [1.0]))
    del node.attribute[:]
    node.attribute.append(onnx.helper.make_attribute(name, value))
    return f"{node.op_type}.{name} {value}"


def _wiring(model: onnx.ModelProto, random: Random) -> str:
    node = random.choice(model.graph.node)
    names = [name for each in model.graph.node for name in (*each.input, *each.output)]
    names += [tensor.name for tensor in model.graph.initializer] + ["", "nothing"]
    side = random.choice((node.input, node.output))
    if not side:
        return "nothing"
    side[random.randrange(len(side))] = random.choice(names)
    return f"wiring of {node.op_type}"


def _weights(model: onnx.ModelProto, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    edit = random.choice(("value", "dims", "type", "data", "external", "empty"))
    if edit == "value" and tensor.raw_data:
        array = onnx.numpy_helper.to_array(tensor).copy().reshape(-1)
        array[random.randrange(array.size)] = random.choice((0, 1, -1, 100))
        tensor.raw_data = array.tobytes()
    elif edit == "dims":
        tensor.dims[:] = [random.choice((0, 1, 16, 2**20, 2**31, 2**62, -1)) for _ in range(2)]
    elif edit == "type":
        tensor.data_type = random.randrange(24)
    elif edit == "data":
        tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
    elif edit == "external":
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../etc/passwd")
    else:
        tensor.ClearField("raw_data")
    return f"weight {tensor.name} {edit}"


def _allocation(model: onnx.ModelProto, random: Random) -> str:
    """A constant of gigabytes in some bytes, added to the output."""
    side = random.choice((1000, 2**15, 2**17, 2**20, 2**30))
    shape = onnx.numpy_helper.from_array(np.array([side, side]), "bomb.shape")
    model.graph.initializer.append(shape)
    last = model.graph.node[-1]
    output, last.output[0] = last.output[0], "bomb.in"
    make = onnx.helper.make_node
    model.graph.node.extend(
        [
            make("ConstantOfShape", ["bomb.shape"], ["bomb"]),
            make("ReduceSum", ["bomb"], ["bomb.sum"], keepdims=0),
            make("Add", ["bomb.in", "bomb.sum"], [output]),
        ]
    )
    return f"a constant of {side} x {side}"


def _structure(model: onnx.ModelProto, random: Random) -> str:
    edit = random.choice(("drop", "twice", "shape", "opset", "domain", "no inputs", "name"))
    graph = model.graph
    if edit == "drop":
        del graph.node[random.randrange(len(graph.node))]
    elif edit == "twice":
        graph.node.append(random.choice(graph.node))
    elif edit == "shape":
        value = random.choice((*graph.input, *graph.output))
        dims = value.type.tensor_type.shape.dim
        dims[random.randrange(len(dims))].dim_value = random.choice((0, 1, 3, 2**31, 2**62, -1))
    elif edit == "opset":
        model.opset_import[0].version = random.choice((0, 1, 13, 18, 999))
    elif edit == "domain":
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    elif edit == "no inputs":
        del graph.input[:]
    else:
        graph.input[0].name = "x"
    return edit


_GRAPH_EDITS: Mapping[str, Callable[[onnx.ModelProto, Random], str]] = {
    "operator": _operator,
    "attribute": _attribute,
    "wiring": _wiring,
    "weights": _weights,
    "allocation": _allocation,
    "structure": _structure,
}
