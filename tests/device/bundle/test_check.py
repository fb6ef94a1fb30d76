"""``edge-asd check`` accepts a sound bundle and names what is wrong with any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from device.bundle_files import PROMISE, edit_manifest, reseal
from device.mini_bundle import write_mini_bundle
from typer.testing import CliRunner

from edge_asd.bundle import golden
from edge_asd.bundle.arrays import read_array, read_arrays, write_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.cli import app
from edge_asd.errors import BundleError


@pytest.fixture(scope="module")
def sound_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini_bundle(tmp_path_factory.mktemp("check") / "bundle")


@pytest.fixture
def bundle(sound_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(sound_bundle, tmp_path / "bundle")


def test_a_sound_bundle_passes_and_everything_checked_is_listed(bundle: Path) -> None:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", str(bundle)])

    assert result.exit_code == 0, result.output
    for what in ("manifest", "files", "graphs of fkie", "banks of pump", "golden windows of pump"):
        assert what in result.stdout
    assert "everything agrees" in result.stderr


def test_a_threshold_that_hardly_any_sound_reaches_is_told(bundle: Path) -> None:
    def out_of_reach(manifest: dict[str, Any]) -> None:
        machine = manifest["machines"]["pump"]
        machine["threshold"] |= {"threshold": 1e6, "levels": [[0.5, 1.0], [0.01, 1e6]]}
        machine["promise"] = PROMISE

    edit_manifest(bundle, out_of_reach)

    found = {finding.what: finding.detail for finding in check_bundle(bundle)}

    assert "hardly anything will raise an alarm" in found["threshold of pump"]


def test_a_failure_is_one_line_after_what_was_right(bundle: Path) -> None:
    (bundle / "fkie@far.npy").write_bytes(b"not a bank")
    reseal(bundle)

    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", str(bundle)])

    assert result.exit_code == 1
    assert "graphs of fkie" in result.stdout
    assert result.stderr.startswith("error: ")
    assert "fkie@far.npy cannot be read" in result.stderr
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
    def change(manifest: dict[str, Any]) -> None:
        manifest["extractors"]["fkie"]["embedding_dim"] = 8
        for domains in manifest["machines"]["pump"]["banks"].values():
            domains["source"]["dim"] = 8

    edit_manifest(bundle, change)


def shift_a_golden_embedding(bundle: Path) -> None:
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    shifted = arrays["embedding/pump/fkie@near"].copy()
    shifted[1, 0, :4] *= 2
    arrays["embedding/pump/fkie@near"] = shifted
    write_arrays(bundle / "golden.npz", arrays)
    reseal(bundle)


def shift_a_golden_score(bundle: Path) -> None:
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    arrays["score/pump"] = arrays["score/pump"] + 0.1
    write_arrays(bundle / "golden.npz", arrays)
    reseal(bundle)


def forget_the_machine(bundle: Path) -> None:
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    write_arrays(bundle / "golden.npz", {"content": arrays["content"]})
    reseal(bundle)


def empty_the_golden_windows(bundle: Path) -> None:
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    empty = {name: rows[:0] for name, rows in arrays.items() if name != "content"}
    write_arrays(bundle / "golden.npz", {**empty, "content": arrays["content"]})
    reseal(bundle)


def double_the_golden_precision(bundle: Path) -> None:
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    arrays["audio/pump"] = arrays["audio/pump"].astype(np.float64)
    write_arrays(bundle / "golden.npz", arrays)
    reseal(bundle)


def spell_the_golden_scores(bundle: Path) -> None:
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    arrays["score/pump"] = arrays["score/pump"].astype(str)
    write_arrays(bundle / "golden.npz", arrays)
    reseal(bundle)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "encoder.onnx is damaged"),
        (poison_a_bank, "1 of 24 rows that are not finite and of unit norm"),
        (stretch_a_bank_row, "1 of 24 rows that are not finite and of unit norm"),
        (drop_a_bank_row, r"does not hold the float32 array \(24, 16\) that the manifest says"),
        (rename_an_input, r"frontend.onnx maps {'sound': "),
        (promise_another_shape, r"to \[\[16\]\], the manifest says .* to \[\(8,\)\]"),
        (shift_a_golden_embedding, "golden embeddings of pump differ on this computer"),
        (shift_a_golden_score, "golden scores of pump differ on this computer"),
        (forget_the_machine, "no array 'audio/pump'"),
        (empty_the_golden_windows, r"golden audio of pump is float32 \(0, 2, 16000\)"),
        (double_the_golden_precision, "golden audio of pump is float64"),
        (spell_the_golden_scores, "it is no array of numbers as numpy writes it"),
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

    agreement = golden.compare(detector, read_arrays(bundle / "golden.npz", "golden windows"))

    assert agreement.n_windows == 2
    assert agreement.min_cosine == pytest.approx(1.0, abs=1e-12)
    assert agreement.max_score_difference == 0.0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00", b"text"])
def test_a_file_that_holds_no_array_is_an_error_of_the_bundle(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.npy").write_bytes(content)

    with pytest.raises(BundleError, match=r"a\.npy cannot be read"):
        read_array(tmp_path / "a.npy", np.float32, (1, 2))
    with pytest.raises(BundleError, match=r"rows .*a\.npy cannot be read"):
        read_arrays(tmp_path / "a.npy", "rows")
