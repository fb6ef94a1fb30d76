"""Open ONNX graphs the way a small device needs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_asd.errors import BundleError

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["open_session"]


def open_session(path: Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open an ONNX graph on the CPU with pinned threads that rest between windows.

    Threads that spin while a window is computed save a tenth of its time with a large
    graph; threads that went on spinning would keep a core busy between windows, 49 %
    against 13 % at ten windows per second (measured, ONNX Runtime 1.31).

    Raises
    ------
    BundleError
        When ONNX Runtime cannot load the file.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; warnings about unused initialisers are no help
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        first = str(error).splitlines()[0]
        raise BundleError(f"{path} cannot be loaded by ONNX Runtime: {first}") from error
