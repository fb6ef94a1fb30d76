"""Open ONNX graphs the way a small device needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import BundleError
from edge_asd.scoring.graph_file import require_known_graph

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["Shape", "open_session", "require_shapes", "run"]

Shape = tuple[int, ...]  # without the batch axis


def open_session(path: Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open an ONNX graph on the CPU with pinned threads that rest between windows.

    Threads that spin while a window is computed save a tenth of its time with a large
    graph; threads that went on spinning would keep a core busy between windows, 49 %
    against 13 % at ten windows per second (measured, ONNX Runtime 1.31).

    Raises
    ------
    BundleError
        When the file is not as export writes it, or ONNX Runtime cannot load it.
    """
    import onnxruntime as ort

    require_known_graph(path)

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; warnings about unused initialisers are no help
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # What was read above, whatever the file is called: *.ort would be another format.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        first = str(error).splitlines()[0]
        raise BundleError(f"{path} cannot be loaded by ONNX Runtime: {first}") from error


def run(session: ort.InferenceSession, inputs: Mapping[str, NDArray[np.float32]]) -> Any:
    """Return the only output of a graph.

    Raises
    ------
    BundleError
        When an operator fails: its shapes do not fit, or there is no memory for them.
    """
    try:
        return session.run(None, dict(inputs))[0]
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        first = str(error).splitlines()[0]
        raise BundleError(f"a graph of the bundle cannot be run: {first}") from error


def require_shapes(
    session: ort.InferenceSession, file: Path, inputs: Mapping[str, Shape], output: Shape
) -> None:
    """Refuse a graph that takes or gives something else than the manifest says.

    Parameters
    ----------
    file : what the session was opened from, for the message
    inputs : shape of every input, by name, without the batch axis
    output : shape of the only output, without the batch axis

    Raises
    ------
    BundleError
        When names or shapes differ.
    """
    found_inputs = {node.name: node.shape[1:] for node in session.get_inputs()}
    found_outputs = [node.shape[1:] for node in session.get_outputs()]
    if (
        found_inputs.keys() != inputs.keys()
        or len(found_outputs) != 1
        or not all(_fits(found_inputs[name], inputs[name]) for name in inputs)
        or not _fits(found_outputs[0], output)
    ):
        raise BundleError(
            f"{file} maps {found_inputs} to {found_outputs}, the manifest says {dict(inputs)} to "
            f"{[output]}: export the bundle again"
        )


def _fits(found: Sequence[int | str | None], expected: Shape) -> bool:
    """Whether shapes agree; a dimension that the graph leaves open is a name or None."""
    return len(found) == len(expected) and all(
        a == b for a, b in zip(found, expected, strict=True) if isinstance(a, int)
    )
