"""What an ONNX file may hold: the operators that export writes, and weights that are in the file.

A graph may come from elsewhere, and ONNX Runtime does what it says: it opens files that weights
are to be in, and takes memory for any shape. So a file is read here first, field by field of its
protocol buffers, each read once and none taken into memory but names. Fields are those of
``onnx.proto``; a field that export does not write is refused.

Of what remains, sizes that come about while a graph is loaded or run, a child process is told
first (:mod:`edge_asd.bundle.proof`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from edge_asd.bundle.limits import FILE_BYTES, GRAPH_FIELDS, TENSOR_DIMENSION
from edge_asd.errors import BundleError

__all__ = ["OPERATORS", "OPSET", "require_known_graph"]

OPSET = 17  # understood by every ONNX Runtime that this package accepts

# Of the domain "" alone. Export wrote each of them; tests/export/bundling/test_operators.py.
OPERATORS = frozenset({
    "Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape",
    "Conv", "DequantizeLinear", "Div", "DynamicQuantizeLinear", "Equal", "Erf", "Expand",
    "Flatten", "Gather", "Gemm", "Identity", "LayerNormalization", "Log", "MatMul",
    "MatMulInteger", "Max", "MaxPool", "Mul", "Pad", "QuantizeLinear", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice",
    "Softmax", "Sqrt", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
_ELEMENTS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool"}


@dataclass(frozen=True, slots=True)
class _Message:
    """Fields of a message, by number; what is not among them is refused."""

    name: str
    values: frozenset[int] = frozenset()  # numbers, texts and bytes
    messages: Mapping[int, _Message] = field(default_factory=dict)
    repeated: frozenset[int] = frozenset()


def _message(name: str, values: str, repeated: str = "", **messages: _Message) -> _Message:
    """Field numbers as texts; messages by ``f<number>``."""
    return _Message(
        name,
        frozenset(map(int, values.split())),
        {int(key[1:]): message for key, message in messages.items()},
        frozenset(map(int, repeated.split())),
    )


_DIMENSION = _message("dimension", "1 2 3")
_SHAPE = _message("shape", "", "1", f1=_DIMENSION)
_TYPE = _message("type", "6", f1=_message("tensor type", "1", f2=_SHAPE))
_VALUE = _message("value", "1 3", f2=_TYPE)
_TENSOR = _message("tensor", "1 2 4 5 7 8 9 12 14", "1 4 5 7")
_ATTRIBUTE = _message("attribute", "1 2 3 4 7 8 9 13 20", "7 8 9", f5=_TENSOR)
_NODE = _message("node", "1 2 3 4 6 7", "1 2 5", f5=_ATTRIBUTE)
_GRAPH = _message(
    "graph", "2 10", "1 5 11 12 13", f1=_NODE, f5=_TENSOR, f11=_VALUE, f12=_VALUE, f13=_VALUE
)
_OPSET = _message("operator set", "1 2")
_ENTRY = _message("entry", "1 2")
_MODEL = _message("model", "1 2 3 4 5 6", "8 14", f7=_GRAPH, f8=_OPSET, f14=_ENTRY)

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types
_SIZES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_NAME_BYTES = 100  # of what is compared: names of operators and domains
_LONG = b"..."


def require_known_graph(path: Path) -> None:
    """Refuse an ONNX file that export cannot have written.

    Raises
    ------
    BundleError
        When it has other operators, subgraphs or functions, weights outside the file or larger
        than it, or is no ONNX file.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > FILE_BYTES:
                raise ValueError(f"it has {size} bytes, at most {FILE_BYTES} are read")
            _Reader(file, size).check()
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be loaded: {error}; copy or export the bundle again"
        ) from error


class _Reader:
    """Reads one file from its beginning to its end."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self._n_fields = 0

    def check(self) -> None:
        if not self._message(_MODEL, self._size):
            raise ValueError("it is empty")

    def _message(self, message: _Message, end: int) -> dict[int, list[int | bytes]]:
        """Values of a message that ends at `end`; `_LONG` for what is too long for a name."""
        found: dict[int, list[int | bytes]] = {}
        sizes: dict[int, int] = {}  # bytes of numbers, by field
        for number, wire, size in self._fields(end):
            if number in found and number not in message.repeated:
                raise ValueError(f"field {number} of a {message.name} is there twice")
            values = found.setdefault(number, [])
            if (inner := message.messages.get(number)) and wire == _BYTES:
                self._message(inner, self._file.tell() + size)
            elif number not in message.values:
                raise ValueError(f"a {message.name} has the field {number}, which none has")
            elif wire == _VARINT:
                values.append(size)
                sizes[number] = sizes.get(number, 0) + 1
            else:
                sizes[number] = sizes.get(number, 0) + size
                if size <= _NAME_BYTES:
                    values.append(self._file.read(size))
                else:
                    values.append(_LONG)
                    self._file.seek(size, os.SEEK_CUR)
        _check(message, found, sizes)
        return found

    def _fields(self, end: int) -> Iterator[tuple[int, int, int]]:
        """Number, wire type and size in bytes of each field up to `end`; a varint's value."""
        while self._file.tell() < end:
            self._n_fields += 1
            if self._n_fields > GRAPH_FIELDS:
                raise ValueError(f"it has more than {GRAPH_FIELDS} fields")
            number, wire = divmod(self._varint(), 8)
            if wire in (_VARINT, _BYTES):
                size = self._varint()
            elif wire in _SIZES:
                size = _SIZES[wire]
            else:
                raise ValueError(f"its field {number} has the wire type {wire}")
            if wire != _VARINT and self._file.tell() + size > end:
                raise ValueError(f"its field {number} is longer than what it is in")
            yield number, wire, size
        if self._file.tell() != end:
            raise ValueError("a part of it is longer than the whole")

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                raise ValueError("it ends too early")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value
        raise ValueError("one of its numbers is too long")


def _check(
    message: _Message, found: Mapping[int, list[int | bytes]], sizes: Mapping[int, int]
) -> None:
    if message is _NODE:
        operator, domain = _text(found, 4), _text(found, 7)
        if operator not in OPERATORS or domain:
            name = f"{domain}.{operator}" if domain else operator
            raise ValueError(f"it uses the operator {name!r}, which export does not write")
    elif message is _OPSET:
        if _text(found, 1) or found.get(2) != [OPSET]:
            raise ValueError(
                f"it uses the operators {_text(found, 1)!r} {found.get(2)}, expected those of "
                f"version {OPSET}"
            )
    elif message is _TENSOR:
        _check_tensor(found, sizes)
    elif message is _DIMENSION and any(n > TENSOR_DIMENSION for n in _numbers(found, 1)):
        raise ValueError("a shape has a dimension that is too large")


def _check_tensor(found: Mapping[int, list[int | bytes]], sizes: Mapping[int, int]) -> None:
    """Weights are in the file, and no more elements than it has bytes for."""
    shape = _numbers(found, 1)
    if found.get(2, [0])[0] not in _ELEMENTS:
        raise ValueError(f"it holds elements of type {found.get(2)}")
    if any(found.get(14, ())):
        raise ValueError("its weights are in another file")
    if any(n > TENSOR_DIMENSION for n in shape):
        raise ValueError("a weight has a dimension that is too large")
    n_bytes = sum(sizes.get(number, 0) for number in (4, 5, 7, 9))
    if math.prod(shape) > n_bytes:
        raise ValueError(f"a weight of shape {shape} has {n_bytes} bytes")


def _text(found: Mapping[int, list[int | bytes]], number: int) -> str:
    """A name; "" where there is none."""
    value = found.get(number, [b""])[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _numbers(found: Mapping[int, list[int | bytes]], number: int) -> list[int]:
    """Numbers of a field; several in one piece are not what export writes."""
    numbers = []
    for value in found.get(number, []):
        if isinstance(value, bytes):
            raise ValueError(f"its field {number} is packed")
        numbers.append(value)
    return numbers
