"""Golden windows are sound that no bank holds, and a wrong kernel does not repeat them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from export.conftest import SILENT
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_asd.bundle import golden
from edge_asd.bundle.agreement import require, tolerance
from edge_asd.bundle.arrays import read_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.errors import BundleError
from edge_asd_export.bundling.bundle_writer import WrittenBundle, write_bundle
from edge_asd_export.bundling.export_job import ExportOptions
from edge_asd_export.bundling.golden_windows import golden_clips, golden_windows
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.run import Run

Clips = dict[str, tuple[Clip, ...]]
Weights = NDArray[np.generic]


@pytest.fixture(scope="module")
def float_bundle(
    small_run: Run, small_clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> WrittenBundle:
    out = tmp_path_factory.mktemp("float32") / "bundle"
    return write_bundle(small_run, small_clips, out, ExportOptions(quantize="none"), SILENT)


def scores(bundle: Bundle, machine: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = read_arrays(bundle.path / "golden.npz", "golden windows")[
        f"score/{machine}"
    ]
    return values


@pytest.mark.parametrize("machine", ["fan", "pump"])
def test_scores_are_ordinary_in_each_domain_and_once_high(
    small_bundle: WrittenBundle, machine: str
) -> None:
    bundle = Bundle.open(small_bundle.path)
    threshold = bundle.manifest.machines[machine].threshold.threshold

    *ordinary, high = scores(bundle, machine)

    assert len(ordinary) == 2
    # Two epochs teach little, and not the same with every number of threads: what counts is
    # that no score is that of a reference, 0, and that one is far from the others.
    shares = [score / threshold for score in (*ordinary, high)]
    assert all(0.02 < share < 3 for share in shares[:-1]), shares
    assert shares[-1] > max(shares[:-1]), shares


def test_a_clip_alone_in_its_domain_gives_another_sound(small_clips: Clips) -> None:
    source, *_, target = small_clips["fan"]
    assert (source.domain, target.domain) == ("source", "target")

    ((first, second), _) = golden_clips({"fan": (source, target)})["fan"]
    audio = np.arange(8, dtype=np.float32).reshape(2, 4)
    ordinary, strange = golden_windows([(audio, audio)])

    assert first is second is source
    np.testing.assert_array_equal(ordinary, [[0, 1, 1, 0], [4, 5, 5, 4]])
    np.testing.assert_array_equal(strange, [[0, -1, 1, 0], [4, -5, 5, -4]])


def test_tolerances_are_those_of_the_precision(
    small_bundle: WrittenBundle, float_bundle: WrittenBundle
) -> None:
    int8, float32 = (tolerance(one.manifest) for one in (small_bundle, float_bundle))

    assert 1 - float32.min_cosine < (1 - int8.min_cosine) / 100
    assert float32.max_score_difference < int8.max_score_difference / 100


def saturate(weights: Weights) -> Weights:
    """As 16-bit sums do that have no room for the products."""
    return np.clip(weights, -32, 32)


def lose_the_last_tap(weights: Weights) -> Weights:
    return np.where(np.arange(weights.shape[-1]) < weights.shape[-1] - 1, weights, 0)


def halve_the_mantissa(weights: Weights) -> Weights:
    """As bfloat16 arithmetic rounds."""
    return (weights.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)


@pytest.mark.parametrize(
    ("fixture", "kernel"),
    [
        ("small_bundle", saturate),
        ("small_bundle", lose_the_last_tap),
        ("float_bundle", lose_the_last_tap),
        ("float_bundle", halve_the_mantissa),
    ],
)
def test_a_wrong_kernel_is_found(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fixture: str,
    kernel: Callable[[Weights], Weights],
) -> None:
    sound = request.getfixturevalue(fixture).path
    folder = shutil.copytree(sound, tmp_path / "bundle")
    bundle = Bundle.open(folder)
    spoil(folder / bundle.manifest.extractors["fkie"].encoder.file, kernel)

    agreement = golden.compare(
        bundle.detector("fan"), read_arrays(folder / "golden.npz", "golden windows")
    )

    with pytest.raises(BundleError, match="differ on this computer"):
        require(agreement, bundle.manifest)


def spoil(encoder: Path, kernel: Callable[[Weights], Weights]) -> None:
    """Give the weights of a graph, of int8 if it has such, what a wrong kernel makes of them."""
    model = onnx.load(encoder)
    weights = [t for t in model.graph.initializer if len(t.dims) > 1]
    int8 = [t for t in weights if t.data_type == onnx.TensorProto.INT8]
    for tensor in int8 or weights:
        old = numpy_helper.to_array(tensor)
        if old.dtype in (np.int8, np.float32):
            new = kernel(old).astype(old.dtype)
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
    onnx.save(model, encoder)
