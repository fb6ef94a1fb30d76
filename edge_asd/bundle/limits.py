"""How large the parts of a bundle may be; what is larger is refused before it is read.

A bundle may come from anywhere, and its digests with it. No number in one of its files decides
how much memory is taken: the files' real sizes do, and these limits.
"""

from __future__ import annotations

__all__ = [
    "ARRAYS_BYTES",
    "BUNDLE_BYTES",
    "FILE_BYTES",
    "GRAPH_FIELDS",
    "MANIFEST_BYTES",
    "MANIFEST_VALUES",
    "N_ARRAYS",
    "N_FILES",
    "TENSOR_DIMENSION",
    "WINDOW_ELEMENTS",
]

MANIFEST_BYTES = 4 * 2**20  # a bundle of two machines and four branches has 20 kB
MANIFEST_VALUES = 200_000  # numbers, texts, lists and records in it
N_FILES = 10_000
FILE_BYTES = 2**30  # of one file; BEATs in float32 has 360 MB
BUNDLE_BYTES = 2**31  # of all files: a small board compares them with their digests in 20 s
N_ARRAYS = 10_000  # in one npz
ARRAYS_BYTES = 2**29  # of all arrays in one npz, unpacked
GRAPH_FIELDS = (
    500_000  # numbers, names, nodes and weights in an ONNX file; three layers of BEATs have 8,000
)
TENSOR_DIMENSION = 2**31 - 1
WINDOW_ELEMENTS = 2**28  # numbers in the audio, a feature, or all segments of one window
