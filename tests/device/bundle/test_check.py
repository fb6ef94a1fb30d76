"""``edge-asd check`` accepts a sound bundle and names what is wrong with any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
from device.mini_bundle import write_mini_bundle
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle, file_entry
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.manifest import MANIFEST_NAME, GoldenSpec
from edge_asd.cli import app
from edge_asd.errors import BundleError
from edge_asd.scoring.detector import Detector, WindowScore

SPEC = GoldenSpec(file="golden.npz", min_cosine=0.99, max_score_difference=0.01)


class FakeDetector:
    """Scores the mean of the first samples of each channel."""

    def __init__(self, machine: str) -> None:
        self.machine = machine

    def embeddings(self, audio: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {"near": audio[:1, :4], "far": audio[1:, :4]}

    def judge(self, embeddings: Mapping[str, NDArray[np.float32]]) -> WindowScore:
        near, far = (float(embeddings[view].mean()) for view in ("near", "far"))
        return WindowScore(near + far, {"near": near, "far": far})


@pytest.fixture(scope="module")
def sound_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini_bundle(tmp_path_factory.mktemp("check") / "bundle")


@pytest.fixture
def bundle(sound_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(sound_bundle, tmp_path / "bundle")


def reseal(bundle: Path) -> None:
    """Make the digests fit the files again."""
    path = bundle / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: file_entry(bundle / name).model_dump() for name in manifest["files"]}
    path.write_text(json.dumps(manifest))


def test_a_sound_bundle_passes_and_everything_checked_is_listed(bundle: Path) -> None:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", str(bundle)])

    assert result.exit_code == 0, result.output
    for what in ("files", "graphs of fkie", "banks of pump", "golden windows of pump"):
        assert what in result.stdout


def test_a_failure_is_one_line_after_what_was_right(bundle: Path) -> None:
    (bundle / "fkie@far.npy").write_bytes(b"not a bank")
    reseal(bundle)

    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", str(bundle)])

    assert result.exit_code == 1
    assert "graphs of fkie" in result.stdout
    assert result.stderr.startswith("error: ")
    assert "is not a bank" in result.stderr
    assert result.stderr.count("\n") == 1


def flip_a_byte(bundle: Path) -> None:
    path = bundle / "encoder.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def poison_a_bank(bundle: Path) -> None:
    path = bundle / "fkie@near.npy"
    rows = np.load(path)
    rows[3, 2] = np.nan
    np.save(path, rows)
    reseal(bundle)


def stretch_a_bank_row(bundle: Path) -> None:
    path = bundle / "fkie@near.npy"
    rows = np.load(path)
    rows[0] *= 1.1
    np.save(path, rows)
    reseal(bundle)


def drop_a_bank_row(bundle: Path) -> None:
    path = bundle / "fkie@near.npy"
    np.save(path, np.load(path)[1:])
    reseal(bundle)


def rename_an_input(bundle: Path) -> None:
    model = onnx.load(bundle / "frontend.onnx")
    model.graph.input[0].name = "sound"
    model.graph.node[0].input[0] = "sound"
    onnx.save(model, bundle / "frontend.onnx")
    reseal(bundle)


def promise_another_shape(bundle: Path) -> None:
    path = bundle / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    manifest["extractors"]["fkie"]["embedding_dim"] = 8
    for domains in manifest["machines"]["pump"]["banks"].values():
        domains["source"]["dim"] = 8
    path.write_text(json.dumps(manifest))


def shift_a_golden_embedding(bundle: Path) -> None:
    arrays = golden.read(bundle / "golden.npz")
    arrays["embedding/pump/fkie@near"][1, 0, :4] *= 2
    golden.write(bundle / "golden.npz", arrays)
    reseal(bundle)


def shift_a_golden_score(bundle: Path) -> None:
    arrays = golden.read(bundle / "golden.npz")
    arrays["score/pump"] = arrays["score/pump"] + 0.1
    golden.write(bundle / "golden.npz", arrays)
    reseal(bundle)


def forget_the_machine(bundle: Path) -> None:
    golden.write(bundle / "golden.npz", {"audio/fan": np.zeros((1, 2, 10), np.float32)})
    reseal(bundle)


def empty_the_golden_windows(bundle: Path) -> None:
    arrays = golden.read(bundle / "golden.npz")
    golden.write(bundle / "golden.npz", {name: rows[:0] for name, rows in arrays.items()})
    reseal(bundle)


def double_the_golden_precision(bundle: Path) -> None:
    arrays = golden.read(bundle / "golden.npz")
    arrays["audio/pump"] = arrays["audio/pump"].astype(np.float64)
    golden.write(bundle / "golden.npz", arrays)
    reseal(bundle)


def spell_the_golden_scores(bundle: Path) -> None:
    arrays = golden.read(bundle / "golden.npz")
    arrays["score/pump"] = arrays["score/pump"].astype(str)
    golden.write(bundle / "golden.npz", arrays)
    reseal(bundle)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "encoder.onnx is damaged"),
        (poison_a_bank, "1 of 24 rows that are not finite and of unit norm"),
        (stretch_a_bank_row, "1 of 24 rows that are not finite and of unit norm"),
        (drop_a_bank_row, r"holds float32 \(23, 16\), the manifest says float32 \(24, 16\)"),
        (rename_an_input, r"frontend.onnx maps {'sound': "),
        (promise_another_shape, r"to \[\[16\]\], the manifest says .* to \[\(8,\)\]"),
        (shift_a_golden_embedding, "golden embeddings of pump differ on this computer"),
        (shift_a_golden_score, "golden scores of pump differ on this computer"),
        (forget_the_machine, "no array 'audio/pump'"),
        (empty_the_golden_windows, r"golden audio of pump is float32 \(0, 2, 16000\)"),
        (double_the_golden_precision, "golden audio of pump is float64"),
        (spell_the_golden_scores, "golden array 'score/pump' is <U"),
    ],
)
def test_damage_is_found_and_named(
    bundle: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(bundle)

    with pytest.raises(BundleError, match=message):
        list(check_bundle(bundle))


def test_golden_windows_repeat_exactly_on_the_computer_that_recorded_them(bundle: Path) -> None:
    detector = Bundle.open(bundle).detector()

    agreement = golden.compare(detector, golden.read(bundle / "golden.npz"))

    assert agreement.n_windows == 2
    assert agreement.min_cosine == pytest.approx(1.0, abs=1e-12)
    assert agreement.max_score_difference == 0.0


def test_one_golden_file_serves_machines_with_windows_of_different_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {}
    for machine, n_samples in (("fan", 40), ("valve", 70)):
        windows = [rng.uniform(-1, 1, (2, n_samples)).astype(np.float32) for _ in range(3)]
        arrays.update(golden.record(cast(Detector, FakeDetector(machine)), windows))
    golden.write(tmp_path / "golden.npz", arrays)

    read = golden.read(tmp_path / "golden.npz")

    assert read["audio/fan"].shape == (3, 2, 40)
    assert read["audio/valve"].shape == (3, 2, 70)
    agreement = golden.compare(cast(Detector, FakeDetector("valve")), read)
    assert (agreement.n_windows, agreement.max_score_difference) == (3, 0.0)


def test_golden_files_of_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    arrays = {"audio/fan": np.ones((1, 2, 10), np.float32)}

    golden.write(tmp_path / "a.npz", arrays)
    golden.write(tmp_path / "b.npz", arrays)

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00"])
def test_an_unreadable_golden_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(content)

    with pytest.raises(BundleError, match="cannot be read"):
        golden.read(path)


def test_a_golden_file_with_a_damaged_compression_method_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    golden.write(path, {"audio/fan": np.ones((1, 2, 10), np.float32)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 99  # the method, in the directory at the end
    path.write_bytes(content)

    with pytest.raises(BundleError, match="cannot be read"):
        golden.read(path)


@pytest.mark.parametrize(
    ("min_cosine", "max_score_difference", "message"),
    [
        (0.98, 0.0, "cosine 0.98"),
        (float("nan"), 0.0, "cosine nan"),
        (1.0, 0.02, "by 2.00e-02"),
        (1.0, float("nan"), "by nan"),
    ],
)
def test_an_agreement_outside_the_bundle_s_limits_is_refused(
    min_cosine: float, max_score_difference: float, message: str
) -> None:
    agreement = golden.Agreement("fan", 1, min_cosine, max_score_difference)

    with pytest.raises(BundleError, match=message):
        golden.require(agreement, SPEC)


def test_an_agreement_at_the_bundle_s_limits_is_accepted() -> None:
    golden.require(golden.Agreement("fan", 1, SPEC.min_cosine, SPEC.max_score_difference), SPEC)
