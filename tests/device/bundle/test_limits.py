"""Files and numbers of a bundle are bounded before anything is made of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from device.bundle_files import edit_manifest

from edge_asd.bundle import bundle as bundle_module
from edge_asd.bundle import limits
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest_file import digest_line, read_manifest
from edge_asd.errors import BundleError


@pytest.fixture
def bundle(mini_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(mini_bundle, tmp_path / "bundle")


@pytest.mark.parametrize("name", ["encoder.onnx", "golden.npz", "fkie@near.npy"])
def test_a_file_that_grew_to_terabytes_is_refused_without_being_read(
    bundle: Path, name: str
) -> None:
    os.truncate(bundle / name, 2**42)

    with pytest.raises(BundleError, match=f"{name} has {2**42} bytes, expected"):
        Bundle.open(bundle)


def test_a_manifest_cannot_allow_terabytes(bundle: Path) -> None:
    os.truncate(bundle / "encoder.onnx", 2**42)
    edit_manifest(bundle, lambda raw: raw["files"]["encoder.onnx"].update(bytes=2**42))

    with pytest.raises(BundleError, match=f"expected at most {limits.N_FILES} of"):
        Bundle.open(bundle)


def test_a_bundle_of_countless_files_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "N_FILES", 3)

    with pytest.raises(BundleError, match="expected at most 3 of"):
        Bundle.open(bundle)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def itself(path: Path) -> None:
    path.symlink_to(path)


def memory(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


@pytest.mark.timeout(60)  # a pipe would be waited for
@pytest.mark.parametrize("make", [pipe, endless, itself, memory, Path.mkdir])
@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "golden.npz", "encoder.onnx"])
def test_what_is_no_file_is_refused(
    bundle: Path, name: str, make: Callable[[Path], object]
) -> None:
    (bundle / name).unlink()
    make(bundle / name)

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 1_000_000,
        b"[" * 90_000 + b"]" * 90_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"[" + b"[]," * 1_000_000 + b"[]]",
        b'{"format_version": ' + b"9" * 1_000_000 + b"}",
        b" " * (limits.MANIFEST_BYTES + 1),
        b"\xff\xfe",
        b"",
    ],
)
def test_an_absurd_manifest_is_refused(bundle: Path, text: bytes) -> None:
    (bundle / "manifest.json").write_bytes(text)
    (bundle / "manifest.sha256").write_bytes(digest_line(text))

    with pytest.raises(BundleError) as caught:
        read_manifest(bundle)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def extractor(raw: dict[str, Any]) -> Any:
    return raw["extractors"]["fkie"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: extractor(raw).update(n_samples=2**31 - 1), "audio: 2147483647 numbers"),
        (lambda raw: extractor(raw).update(embedding_dim=2**31 - 1), "embedding_dim"),
        (lambda raw: extractor(raw)["features"][0].update(shape=[2**20, 2**20]), "energy: 1099"),
        (
            lambda raw: extractor(raw).update(
                segments={"n_frames": 2**15, "hop_frames": 1},
                features=[extractor(raw)["features"][0] | {"shape": [2**16]}],
            ),
            "32769 segments of energy: 1073774592 numbers, at most",
        ),
        (lambda raw: raw["machines"]["pump"].update(window_samples=2**30), "window_samples"),
    ],
)
def test_sizes_that_would_take_all_memory_for_a_window_are_refused(
    bundle: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_manifest(bundle, change)

    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


def test_a_front_end_without_a_name_is_refused(bundle: Path) -> None:
    edit_manifest(bundle, lambda raw: extractor(raw)["features"][0].update(file=""))

    with pytest.raises(BundleError, match="feature 'energy' of kind 'graph' has file ''"):
        read_manifest(bundle)


def nested(depth: int) -> Callable[[dict[str, Any]], object]:
    def change(raw: dict[str, Any]) -> None:
        for _ in range(depth):
            inner = raw["machines"]["pump"]["fusion"]
            terms = [{"of": inner, "weight": 1.0}]
            raw["machines"]["pump"]["fusion"] = {"terms": terms, "method": "equal"}

    return change


def test_sums_may_be_nested_but_not_without_end(bundle: Path) -> None:
    edit_manifest(bundle, nested(3))
    read_manifest(bundle)
    edit_manifest(bundle, nested(150))

    with pytest.raises(BundleError, match="breaks the bundle contract"):
        read_manifest(bundle)
