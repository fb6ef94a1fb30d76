"""A bundle whose encoder is an ensemble: opened, checked, scored, refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.bundle_files import edit_manifest
from device.mini_bundle import (
    CENTRE,
    N_BANDS,
    N_REFERENCES,
    machine_sound,
    mixings,
    write_mini_bundle,
)

from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.manifest import FileEntry
from edge_asd.errors import BundleError
from edge_asd.scoring.scorer import exact_scores, normalise_rows

BRANCH = "fkie@near"


@pytest.fixture
def copy(ensemble_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(ensemble_bundle, tmp_path / "bundle"))


def test_check_accepts_an_ensemble(ensemble_bundle: Path) -> None:
    found = {finding.what: finding.detail for finding in check_bundle(ensemble_bundle)}

    assert found["graphs of fkie"] == "fkie: energy -> 3 x 16 dimensions, fp32"
    assert found["banks of pump"].startswith("48 references")


def test_each_member_compares_with_what_it_was_trained_with(ensemble_bundle: Path) -> None:
    bundle = Bundle.open(ensemble_bundle)
    window = machine_sound(1.0, seed=90, faulty=True)

    score = bundle.detector().score(window).branches[BRANCH]

    rows = np.load(ensemble_bundle / f"{BRANCH}.npy").reshape(N_REFERENCES, 3, N_BANDS)
    own = normalise_rows(bundle.extractors()["fkie"](window[None, [0]])[0])
    scorer = bundle.manifest.reference_scorers[BRANCH]
    fold = np.arange(N_REFERENCES) % 3
    expected = [exact_scores(own[[b]], {"source": rows[fold != b, b]}, scorer)[0] for b in range(3)]
    assert score == pytest.approx(np.mean(expected))


def test_members_that_are_alike_and_know_everything_score_as_one_network(
    mini_bundle: Path, tmp_path: Path
) -> None:
    alike = write_mini_bundle(tmp_path / "alike", [CENTRE] * 3, [-1] * N_REFERENCES)
    one, many = (Bundle.open(path).detector() for path in (mini_bundle, alike))

    for seed in (90, 91):
        window = machine_sound(1.0, seed=seed, faulty=seed == 91)
        assert many.score(window).score == pytest.approx(one.score(window).score, rel=1e-12)
        assert [n.row for n in many.neighbours(BRANCH, window, 5)] == [
            n.row for n in one.neighbours(BRANCH, window, 5)
        ]


def set_folds(path: Path, folds: np.ndarray) -> None:
    file = path / f"{BRANCH}.folds.npy"
    np.save(file, folds)
    entry = FileEntry.of(file).model_dump()
    edit_manifest(path, lambda manifest: manifest["files"].update({file.name: entry}))


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (np.zeros(N_REFERENCES + 1, np.int8), "does not hold the int8 array"),
        (np.full(N_REFERENCES, 3, np.int8), "folds from 3 to 3, expected -1 to 2"),
        (np.zeros(N_REFERENCES, np.int8), "network 1 of an ensemble knows none"),
    ],
)
def test_check_refuses_folds_that_cannot_be(copy: Path, folds: np.ndarray, message: str) -> None:
    set_folds(copy, folds)

    with pytest.raises(BundleError, match=message):
        list(check_bundle(copy))


def banks_of(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["machines"]["pump"]["banks"][BRANCH]["source"]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: banks_of(m).update(folds_file=None), "folds file None, its extractor 3"),
        (lambda m: banks_of(m).update(dim=16), "are 16 wide, its extractor gives 48"),
        (lambda m: m["extractors"]["fkie"].update(members=2), "48 wide, its extractor gives 32"),
        (
            lambda m: m["extractors"]["fkie"].update(segments={"n_frames": 2, "hop_frames": 1}),
            "an ensemble takes windows whole",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_an_ensemble_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_manifest(copy, change)

    with pytest.raises(BundleError, match=message):
        Bundle.open(copy)


def test_a_graph_of_fewer_members_is_refused(copy: Path, tmp_path: Path) -> None:
    other = write_mini_bundle(tmp_path / "two", mixings(2))
    shutil.copy(other / "encoder.onnx", copy / "encoder.onnx")
    entry = FileEntry.of(copy / "encoder.onnx").model_dump()
    edit_manifest(copy, lambda manifest: manifest["files"].update({"encoder.onnx": entry}))

    with pytest.raises(BundleError, match=r"\[\[2, 16\]\], the manifest says .*\[\(3, 16\)\]"):
        Bundle.open(copy).detector()


def test_a_bundle_of_format_2_scores_as_before(mini_bundle: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(mini_bundle, tmp_path / "old"))

    def as_written_then(manifest: dict[str, Any]) -> None:
        manifest["format_version"] = 2
        for extractor in manifest["extractors"].values():
            del extractor["members"]
        for machine in manifest["machines"].values():
            del machine["promise"]
            for key in ("n_takes", "levels"):
                del machine["threshold"][key]
            for domains in machine["banks"].values():
                for bank in domains.values():
                    del bank["folds_file"]

    edit_manifest(old, as_written_then)

    window = machine_sound(1.0, seed=90, faulty=True)
    assert Bundle.open(old).detector().score(window) == (
        Bundle.open(mini_bundle).detector().score(window)
    )
