"""No byte of a manifest changes unnoticed, and no number in it is out of its range."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.bundle_files import PROMISE, edit_manifest, reseal
from typer.testing import CliRunner

from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.manifest import Manifest
from edge_asd.bundle.manifest_file import digest_line, read_manifest
from edge_asd.cli import app
from edge_asd.errors import BundleError

Change = Callable[[dict[str, Any]], object]
LEVELS = [[0.5, 1.0], [0.1, 2.0], [0.01, 3.0], [0.001, 4.0]]


@pytest.fixture
def bundle(mini_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(mini_bundle, tmp_path / "bundle")


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_single_flipped_bit_keeps_the_digest(mini_bundle: Path) -> None:
    text = (mini_bundle / "manifest.json").read_bytes()
    kept = (mini_bundle / "manifest.sha256").read_bytes()

    assert digest_line(text) == kept
    assert all(digest_line(flipped(text, bit)) != kept for bit in range(8 * len(text)))


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256"])
def test_a_flipped_bit_is_refused(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()

    for bit in random.Random(0).sample(range(8 * len(content)), 200):
        (bundle / name).write_bytes(flipped(content, bit))
        with pytest.raises(BundleError, match="copy the bundle again"):
            read_manifest(bundle)


def test_sha256sum_checks_the_manifest(bundle: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "manifest.sha256"], cwd=bundle, check=False
    )

    assert done.returncode == 0


def test_a_manifest_without_its_digest_is_refused(bundle: Path) -> None:
    (bundle / "manifest.sha256").unlink()

    with pytest.raises(BundleError, match=r"manifest\.sha256 is missing; copy the bundle again"):
        Bundle.open(bundle)


@pytest.mark.parametrize("version", [2, 3])
def test_a_bundle_of_an_old_format_opens_and_is_said_to_be_uncovered(
    bundle: Path, caplog: pytest.LogCaptureFixture, version: int
) -> None:
    tolerances = {"min_cosine": -1.0, "max_score_difference": 1e9}

    def old(manifest: dict[str, Any]) -> None:
        manifest["format_version"] = version
        manifest["golden"] |= tolerances

    edit_manifest(bundle, old)
    (bundle / "manifest.sha256").unlink()

    with caplog.at_level(logging.WARNING):
        Bundle.open(bundle)
    findings = {finding.what: finding.detail for finding in check_bundle(bundle)}

    assert "no digest covers its manifest" in caplog.text
    assert findings["manifest"].startswith(f"format {version}, no digest covers its manifest")


def test_an_old_bundle_with_a_digest_obeys_it(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(format_version=3))
    text = (bundle / "manifest.json").read_bytes()
    (bundle / "manifest.json").write_bytes(text.replace(b'"hop_s": 0.5', b'"hop_s": 0.6'))

    with pytest.raises(BundleError, match=r"not what manifest\.sha256 says"):
        Bundle.open(bundle)


def write_text(bundle: Path, text: bytes) -> None:
    (bundle / "manifest.json").write_bytes(text)
    (bundle / "manifest.sha256").write_bytes(digest_line(text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"sample_rate_hz"', b'"hop_s": 0.25, "sample_rate_hz"', "'hop_s' is there twice"),
        (b'"weight": 0.5', b'"weight": NaN', "NaN is not a number"),
        (b'"mean": 0.0', b'"mean": -Infinity', "-Infinity is not a number"),
        (b'"mean": 0.0', b'"mean": 1e999', r"mean"),
    ],
)
def test_json_that_programs_read_differently_is_refused(
    bundle: Path, old: bytes, new: bytes, message: str
) -> None:
    text = json.dumps(json.loads((bundle / "manifest.json").read_bytes())).encode()
    assert old in text
    write_text(bundle, text.replace(old, new, 1))

    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


def test_a_manifest_of_absurd_size_is_not_read(bundle: Path) -> None:
    with (bundle / "manifest.json").open("r+b") as file:
        file.truncate(2**40)

    with pytest.raises(BundleError, match="more than 4194304 bytes"):
        Bundle.open(bundle)


def test_a_manifest_of_too_many_values_is_not_parsed(bundle: Path) -> None:
    write_text(bundle, b"[" + b"{}," * 300_000 + b"{}]")

    with pytest.raises(BundleError, match="more than 200000 values"):
        Bundle.open(bundle)


def pump(manifest: dict[str, Any]) -> dict[str, Any]:
    machine: dict[str, Any] = manifest["machines"]["pump"]
    return machine


def threshold(**numbers: object) -> Change:
    """Other numbers of a threshold that fits LEVELS."""
    fitting = {"threshold": 3.0, "clear_threshold": 2.0, "levels": LEVELS}
    return lambda manifest: pump(manifest)["threshold"].update(fitting | numbers)


def promise(**numbers: object) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        threshold()(manifest)
        pump(manifest)["promise"] = PROMISE | numbers

    return change


def term(**numbers: object) -> Change:
    return lambda manifest: pump(manifest)["fusion"]["terms"][0].update(numbers)


@pytest.mark.parametrize("change", [threshold(), threshold(levels=[]), promise()])
def test_numbers_in_their_ranges_are_read(bundle: Path, change: Change) -> None:
    edit_manifest(bundle, change)

    Bundle.open(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (threshold(threshold=1e308), "threshold"),
        (threshold(threshold=1e308, levels=[]), "threshold"),
        (threshold(threshold=7.68), "threshold 7.68 contradicts the levels"),
        (threshold(threshold=2.5), "threshold 2.5 contradicts the levels"),
        (threshold(clear_threshold=-1e5), "clear_threshold -100000 contradicts the levels"),
        (threshold(false_alarm_rate=0.1), "contradicts the levels"),
        (threshold(false_alarm_rate=1e-12), "contradicts the levels"),
        (threshold(levels=[[0.5, 1.0]]), "one level"),
        (threshold(levels=[*LEVELS, [1e-4, 3.5]]), "not in order"),
        (threshold(levels=[*LEVELS, [1e-4, 1e300]]), "levels"),
        (threshold(n_scores=10**18), "n_scores"),
        (threshold(n_scores=10, n_takes=11), "10 scores are of 11 takes"),
        (term(weight=0.75), "weights sum to 1.25, expected 1"),
        (term(weight=1e300), "weight"),
        (term(mean=1e300), "mean"),
        (term(std=1e300), "std"),
        (promise(wanted_per_month=1e300), "wanted_per_month"),
        (promise(false_alarms_per_month=1e300), "false alarms a month"),
        (promise(confirm_m=10**9), "confirm_m"),
        (promise(confirm_n=5), "confirms 5 of 4"),
        (promise(hop_s=1.0, delay_s=5.0), "its windows of 0.5"),
        (promise(delay_s=2.0), "its windows of 3"),
        (promise(delay_s=1e9), "a delay of 1e"),
        (promise(lasting_s=1e300), "lasting_s"),
        (lambda m: m.update(sample_rate_hz=10**9), "sample_rate_hz"),
        (lambda m: m["extractors"]["fkie"].update(n_samples=10**8), "takes 100000000 samples"),
        (lambda m: m["extractors"]["fkie"].update(members=10**6), "members"),
        (lambda m: m["extractors"]["fkie"].update(embedding_dim=10**8), "embedding_dim"),
        (lambda m: m["extractors"]["fkie"]["encoder"].update(opset=10**6), "opset"),
        (lambda m: m["branches"][0]["scorer"].update(k_source=10**9), "k_source"),
        (lambda m: m["branches"][0]["scorer"].update(density_floor=1e5), "density_floor"),
        (lambda m: pump(m).update(window_samples=10**8), "windows of 'pump' are 6250 s long"),
    ],
)
def test_a_number_out_of_range_or_in_contradiction_is_refused(
    bundle: Path, change: Change, message: str
) -> None:
    edit_manifest(bundle, change)

    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(bundle)

    assert "\n" not in str(caught.value)


def exchange_components(bundle: Path) -> None:
    """Change one reference that no golden window is nearest to; its norm stays as it is."""
    path = bundle / "fkie@far.npy"
    rows = np.load(path)
    rows[0, :2] = rows[0, 1::-1]
    np.save(path, rows)
    reseal(bundle)


@pytest.mark.parametrize(
    "change",
    [
        exchange_components,
        lambda b: edit_manifest(b, threshold(levels=[]), golden_too=False),
        lambda b: edit_manifest(b, lambda m: m.update(hop_s=0.75), golden_too=False),
        lambda b: edit_manifest(b, lambda m: m.update(name="other"), golden_too=False),
        lambda b: edit_manifest(
            b, lambda m: m["branches"][0]["scorer"].update(k_source=15), golden_too=False
        ),
    ],
)
def test_content_with_digests_made_right_is_refused_by_the_golden_windows(
    bundle: Path, change: Callable[[Path], None]
) -> None:
    change(bundle)
    Bundle.open(bundle)

    with pytest.raises(BundleError, match=r"golden (scores|windows) "):
        list(check_bundle(bundle))


@pytest.mark.parametrize(
    ("change", "array"),
    [
        (threshold(levels=[]), "level/pump"),
        (term(mean=1e-2), "score/pump"),
        (lambda m: m["branches"][0]["scorer"].update(k_source=15), "score/pump"),
    ],
)
def test_levels_and_fusion_are_those_that_were_recorded(
    mini_bundle: Path, change: Change, array: str
) -> None:
    raw = json.loads((mini_bundle / "manifest.json").read_bytes())
    windows = golden.read_golden(mini_bundle, read_manifest(mini_bundle))
    change(raw)
    changed = Bundle(mini_bundle, Manifest.model_validate(raw))

    golden.require_banks(Bundle.open(mini_bundle).detector(), windows)
    with pytest.raises(BundleError, match=f"golden array '{array}' is .* levels give"):
        golden.require_banks(changed.detector(), windows)


@pytest.mark.parametrize("row", [0, 11, 23])
def test_a_reference_that_changes_no_golden_score_is_noticed(bundle: Path, row: int) -> None:
    opened = Bundle.open(bundle)
    windows = golden.read_golden(bundle, opened.manifest)
    rows = np.load(bundle / "fkie@far.npy")
    rows[row] = -rows[row]
    np.save(bundle / "fkie@far.npy", rows)
    changed = opened.detector()
    scores = golden.record(changed, list(windows["audio/pump"]))
    banks = {name: array for name, array in windows.items() if name.startswith("bank/")}

    with pytest.raises(BundleError, match="golden array 'bank/pump/fkie@far/source'"):
        golden.require_banks(changed, {**scores, **banks, "content": windows["content"]})


def test_check_names_the_digest(bundle: Path) -> None:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", str(bundle)])

    assert "agrees with its digest" in result.stdout
    text = (bundle / "manifest.json").read_bytes()
    assert (bundle / "manifest.sha256").read_text().startswith(hashlib.sha256(text).hexdigest())
