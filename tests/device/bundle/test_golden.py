"""Golden windows are replayed; what differs is refused, with what has not been tried yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
from device.mini_bundle import MACHINE, machine_sound
from device.reports import THRESHOLD
from numpy.typing import NDArray

from edge_asd.bundle import golden
from edge_asd.bundle.agreement import Agreement, require, tolerance
from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Manifest
from edge_asd.errors import BundleError
from edge_asd.scoring.detector import Detector, WindowScore

WRONG_SCORES = Agreement("fan", 1, 1.0, 0.04)
WRONG_EMBEDDINGS = Agreement("fan", 1, 0.9, 0.0)


class FakeDetector:
    """Scores the mean of the first samples of each channel."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.spec = SimpleNamespace(threshold=THRESHOLD)

    def embeddings(self, audio: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {"near": audio[:1, :4], "far": audio[1:, :4]}

    def score_embeddings(self, embeddings: Mapping[str, NDArray[np.float32]]) -> WindowScore:
        near, far = (float(embeddings[view].mean()) for view in ("near", "far"))
        return WindowScore(near + far, {"near": near, "far": far})

    def mean_distances(self, embeddings: Mapping[str, NDArray[np.float32]]) -> dict[Any, float]:
        return {}


def test_one_golden_file_serves_machines_with_windows_of_different_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {}
    for machine, n_samples in (("fan", 40), ("valve", 70)):
        windows = [rng.uniform(-1, 1, (2, n_samples)).astype(np.float32) for _ in range(3)]
        arrays.update(golden.record(cast(Detector, FakeDetector(machine)), windows))
    write_arrays(tmp_path / "golden.npz", arrays)

    read = read_arrays(tmp_path / "golden.npz", "golden windows")

    assert read["audio/fan"].shape == (3, 2, 40)
    assert read["audio/valve"].shape == (3, 2, 70)
    agreement = golden.compare(cast(Detector, FakeDetector("valve")), read)
    assert (agreement.n_windows, agreement.max_score_difference) == (3, 0.0)


def test_golden_files_of_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    arrays = {"audio/fan": np.ones((1, 2, 10), np.float32)}

    write_arrays(tmp_path / "a.npz", arrays)
    write_arrays(tmp_path / "b.npz", arrays)

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00"])
def test_an_unreadable_golden_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(content)

    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(path, "golden windows")


def test_a_golden_file_with_a_damaged_compression_method_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    write_arrays(path, {"audio/fan": np.ones((1, 2, 10), np.float32)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 99  # the method, in the directory at the end
    path.write_bytes(content)

    with pytest.raises(BundleError, match="cannot be read"):
        read_arrays(path, "golden windows")


@pytest.fixture(autouse=True)
def on_a_raspberry_pi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")


@pytest.fixture
def manifest(mini_bundle: Path) -> Manifest:
    """Of a float32 bundle for this processor, recorded by the ONNX Runtime that is installed."""
    return changed(
        Bundle.open(mini_bundle).manifest,
        target="arm64",
        tools={"onnxruntime": onnxruntime.__version__},
    )


def changed(manifest: Manifest, *, precision: str = "fp32", **update: Any) -> Manifest:
    extractors = {
        name: spec.model_copy(
            update={"encoder": spec.encoder.model_copy(update={"precision": precision})}
        )
        for name, spec in manifest.extractors.items()
    }
    return manifest.model_copy(update={"extractors": extractors, **update})


def refusal(agreement: Agreement, manifest: Manifest) -> str:
    with pytest.raises(BundleError) as caught:
        require(agreement, manifest)
    return str(caught.value)


@pytest.mark.parametrize(
    ("min_cosine", "max_score_difference", "found"),
    [
        (0.98, 0.0, "cosine 0.98"),
        (float("nan"), 0.0, "cosine nan"),
        (1.0, 0.02, "by 2.00e-02"),
        (1.0, float("nan"), "by nan"),
    ],
)
def test_an_agreement_outside_the_bundle_s_limits_is_refused(
    manifest: Manifest, min_cosine: float, max_score_difference: float, found: str
) -> None:
    agreement = Agreement("fan", 1, min_cosine, max_score_difference)

    assert found in refusal(agreement, manifest)


def test_an_agreement_at_the_bundle_s_limits_is_accepted(manifest: Manifest) -> None:
    allowed = tolerance(manifest)

    require(Agreement("fan", 1, allowed.min_cosine, allowed.max_score_difference), manifest)


@pytest.mark.parametrize("agreement", [WRONG_SCORES, WRONG_EMBEDDINGS])
@pytest.mark.parametrize(
    ("update", "advice"),
    [
        ({"target": "x86-64"}, "export it with --target arm64 (it was made for x86-64)"),
        (
            {"tools": {"onnxruntime": "1.20.1"}},
            f"install onnxruntime 1.20.1, or export it where {onnxruntime.__version__} is "
            "installed",
        ),
        ({"precision": "int8"}, "export it with --quantize none"),
        (
            {"precision": "int8", "tools": {"onnxruntime": "1.20.1"}},
            f"install onnxruntime 1.20.1, or export it where {onnxruntime.__version__} is "
            "installed, or export it with --quantize none",
        ),
        (
            {},
            "float32 for this processor, recorded by this onnxruntime: test the computer's memory",
        ),
    ],
)
def test_advice_is_what_has_not_been_done_yet(
    manifest: Manifest, agreement: Agreement, update: dict[str, Any], advice: str
) -> None:
    message = refusal(agreement, changed(manifest, **update))

    assert message.endswith(f"; {advice}")


def test_another_version_of_onnxruntime_is_named_before_the_processor(manifest: Manifest) -> None:
    tools = {"onnxruntime": "1.20.1"}

    message = refusal(WRONG_SCORES, changed(manifest, target="x86-64", tools=tools))

    versions = f"under onnxruntime {onnxruntime.__version__} from those of onnxruntime 1.20.1"
    assert message.startswith(f"golden scores of fan differ {versions} by 4.00e-02")
    assert "this computer" not in message
    assert message.index("install onnxruntime 1.20.1") < message.index("--target arm64")


def test_a_processor_of_no_known_family_is_not_told_to_export_for_it(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    assert "--target" not in refusal(WRONG_SCORES, manifest)


def test_a_bundle_whose_golden_windows_are_references_is_to_be_exported_again(
    mini_bundle: Path, manifest: Manifest
) -> None:
    detector = Bundle.open(mini_bundle).detector()
    reference, unseen = machine_sound(1.0, seed=0), machine_sound(1.0, seed=60)
    arrays = golden.record(detector, [unseen, reference])
    arrays[f"score/{MACHINE}"] += 0.02

    agreement = golden.compare(detector, arrays)

    assert agreement.at_a_reference
    assert not golden.compare(detector, golden.record(detector, [unseen])).at_a_reference
    assert refusal(agreement, manifest).endswith(
        "its golden windows are references, whose scores of zero magnify rounding: "
        "export the bundle again"
    )
