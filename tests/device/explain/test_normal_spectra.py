"""Spectra of references: measured, written, read, refused when they are something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from device.bundle_files import replace_manifest
from device.mini_bundle import MACHINE, RATE_HZ, machine_sound

from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.manifest import FileEntry
from edge_asd.errors import BundleError
from edge_asd.explain.normal_spectra import (
    DomainSpectra,
    NormalSpectra,
    measure_spectra,
    read_spectra,
    write_spectra,
)
from edge_asd.explain.spectrogram import N_BANDS

ARRAY = np.zeros((3, 2, N_BANDS), np.float16)


def spectra(n: int) -> DomainSpectra:
    return measure_spectra([machine_sound(1.0, seed=seed) for seed in range(n)], RATE_HZ)


def with_spectra(bundle: Path, folder: Path, content: NormalSpectra) -> Path:
    """A copy of a bundle that says how its references sound."""
    shutil.copytree(bundle, folder)
    write_spectra(folder / "spectra" / "pump.npz", content)
    manifest = Bundle.open(folder).manifest
    machine = manifest.machines[MACHINE].model_copy(update={"spectra_file": "spectra/pump.npz"})
    files = {**manifest.files, "spectra/pump.npz": FileEntry.of(folder / "spectra/pump.npz")}
    manifest = manifest.model_copy(update={"machines": {MACHINE: machine}, "files": files})
    replace_manifest(folder, manifest)
    return folder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = NormalSpectra(
        {"source": spectra(3), "target": spectra(2)},
        {"fkie@near": np.array([0.5, 0.7], np.float32)},
    )

    write_spectra(tmp_path / "a.npz", written)
    write_spectra(tmp_path / "b.npz", written)
    read = read_spectra(tmp_path / "a.npz")

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert list(read.domains) == ["source", "target"]
    np.testing.assert_array_equal(read.domains["target"].mean_db, spectra(2).mean_db)
    np.testing.assert_array_equal(read.domains["source"].spread_db, spectra(3).spread_db)
    np.testing.assert_array_equal(read.scores["fkie@near"], written.scores["fkie@near"])


def test_a_thousand_references_need_less_than_a_megabyte(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).normal(-60, 5, (990, 2, N_BANDS)).astype(np.float16)

    write_spectra(tmp_path / "a.npz", NormalSpectra({"source": DomainSpectra(levels, levels)}))

    assert (tmp_path / "a.npz").stat().st_size < 1_000_000


def test_references_are_added_behind_those_of_their_domain() -> None:
    known = NormalSpectra({"source": spectra(3)})

    more = known.joined("source", spectra(1)).joined("target", spectra(2))

    assert {domain: len(own) for domain, own in more.domains.items()} == {"source": 4, "target": 2}
    np.testing.assert_array_equal(more.domains["source"].mean_db[3], spectra(1).mean_db[0])
    assert len(known.domains["source"]) == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean/source": ARRAY}, "spreads of {}"),
        ({"mean/source": ARRAY, "spread/source": ARRAY[:2]}, "expected the same"),
        ({"mean/attic": ARRAY, "spread/attic": ARRAY}, "expected the same of source or target"),
        ({"mean/source": ARRAY[..., :5], "spread/source": ARRAY}, "no part of them"),
        ({"mean/source": ARRAY + np.float16("nan"), "spread/source": ARRAY}, "no part of them"),
        ({"mean/source": np.float16(1), "spread/source": ARRAY}, "no part of them"),
        ({"other": ARRAY}, "no part of them"),
        ({"scores/near": np.ones(3)}, "no part of them"),
        ({}, "expected the same"),
    ],
)
def test_arrays_that_are_something_else_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays)

    with pytest.raises(BundleError, match=message) as caught:
        read_spectra(tmp_path / "a.npz")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"text"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)

    with pytest.raises(BundleError, match="cannot be read"):
        read_spectra(tmp_path / "a.npz")


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=True, **{"mean/source": np.array([{}], dtype=object)})

    with pytest.raises(BundleError, match="cannot be read"):
        read_spectra(tmp_path / "a.npz")


def test_a_bundle_without_spectra_is_read(mini_bundle: Path) -> None:
    assert Bundle.open(mini_bundle).spectra(MACHINE) is None


def test_a_bundle_with_spectra_passes_its_check(mini_bundle: Path, tmp_path: Path) -> None:
    bundle = with_spectra(mini_bundle, tmp_path / "b", NormalSpectra({"source": spectra(4)}))

    findings = {finding.what: finding.detail for finding in check_bundle(bundle)}

    assert findings["spectra of pump"] == "4 source, finite"


def test_a_bundle_with_damaged_spectra_is_refused(mini_bundle: Path, tmp_path: Path) -> None:
    bundle = with_spectra(mini_bundle, tmp_path / "b", NormalSpectra({"source": spectra(4)}))
    file = bundle / "spectra" / "pump.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")

    with pytest.raises(BundleError, match=r"pump\.npz is damaged"):
        Bundle.open(bundle)
