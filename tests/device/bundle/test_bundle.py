"""Opening bundles: good ones, damaged ones, and those made for something else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.bundle_files import edit_manifest
from device.mini_bundle import MACHINE, WINDOW_SAMPLES, machine_sound

from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import FileEntry
from edge_asd.errors import AudioError, BundleError, UsageError
from edge_asd.scoring.graph import open_session


@pytest.fixture
def copy(mini_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mini_bundle, tmp_path / "bundle"))


def test_good_bundle_opens(mini_bundle: Path) -> None:
    assert Bundle.open(mini_bundle).manifest.system == "system4"


def test_missing_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="edge-asd export"):
        Bundle.open(tmp_path / "nowhere")


def test_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\x00", "[" * 100_000, "1" * 5000])
def test_manifest_that_is_not_an_object_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)

    with pytest.raises(BundleError):
        Bundle.open(copy)


@pytest.mark.parametrize("version", [0, 1, 5, "2", None])
def test_unknown_format_version_is_refused(copy: Path, version: object) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(format_version=version))

    with pytest.raises(BundleError, match=r"format version .* reads 2, 3 and 4") as caught:
        Bundle.open(copy)

    assert "\n" not in str(caught.value)


def test_flipped_byte_is_found(copy: Path) -> None:
    file = copy / "encoder.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(BundleError, match=r"encoder\.onnx is damaged"):
        Bundle.open(copy)


def test_missing_file_is_found(copy: Path) -> None:
    (copy / "golden.npz").unlink()

    with pytest.raises(BundleError, match=r"golden\.npz is missing"):
        Bundle.open(copy)


def test_file_name_that_leads_out_is_refused(copy: Path) -> None:
    (copy.parent / "secret").write_text("x")
    entry = FileEntry.of(copy.parent / "secret").model_dump()
    edit_manifest(copy, lambda manifest: manifest["files"].update({"../secret": entry}))

    with pytest.raises(BundleError, match="leads out of the bundle"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(colour="red"), "colour"),
        (lambda m: m.update(hop_s=0), "hop_s"),
        (lambda m: m.update(hop_s=1e-9), "hop_s"),
        (lambda m: m.update(hop_s=1e9), "hop_s"),
        (lambda m: m["machines"].clear(), "machines"),
        (lambda m: m["machines"][MACHINE]["banks"].popitem(), "banks for"),
        (lambda m: m["branches"][0].update(extractor="beats"), "unknown extractor"),
        (lambda m: m["branches"][0].update(view="top"), "unknown view"),
        (lambda m: m.update(n_channels=3), "n_channels"),
        (lambda m: m["extractors"]["fkie"].update(n_channels=2), "its extractor takes 2"),
        (lambda m: m["machines"][MACHINE]["banks"]["fkie@far"].clear(), "without banks"),
        (
            lambda m: m["machines"][MACHINE]["fusion"]["terms"][0].update(of="fkie@top"),
            r"fusion of machine 'pump' names \['fkie@top'\]",
        ),
        (lambda m: m["files"].pop("encoder.onnx"), "not listed"),
        (lambda m: m["machines"][MACHINE]["threshold"].update(clear_threshold=99), "above"),
    ],
)
def test_broken_contract_is_one_line_that_names_the_place(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_manifest(copy, change)

    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(copy)

    assert "\n" not in str(caught.value)


def test_the_only_machine_is_the_default(mini_bundle: Path) -> None:
    assert Bundle.open(mini_bundle).resolve_machine(None) == MACHINE


def test_unknown_machine_lists_the_known(mini_bundle: Path) -> None:
    with pytest.raises(UsageError, match=f"knows: {MACHINE}"):
        Bundle.open(mini_bundle).resolve_machine("press")


def test_several_machines_need_a_choice(copy: Path) -> None:
    edit_manifest(copy, lambda m: m["machines"].update(fan=m["machines"][MACHINE]))

    with pytest.raises(UsageError, match="--machine"):
        Bundle.open(copy).resolve_machine(None)


def test_file_that_is_no_graph_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")

    with pytest.raises(BundleError, match="cannot be loaded") as caught:
        open_session(tmp_path / "x.onnx")

    assert "\n" not in str(caught.value)


def test_detector_scores_a_fault_above_normal_sound(mini_bundle: Path) -> None:
    detector = Bundle.open(mini_bundle).detector()

    normal = detector.score(machine_sound(1.0, seed=500))
    faulty = detector.score(machine_sound(1.0, seed=500, faulty=True))

    assert normal.score < detector.spec.threshold.threshold < faulty.score


def test_fused_score_is_the_weighted_sum_of_the_branches(mini_bundle: Path) -> None:
    window = Bundle.open(mini_bundle).detector().score(machine_sound(1.0, seed=3))

    assert window.score == pytest.approx(np.mean(list(window.branches.values())))


def test_scoring_leaves_the_audio_alone_and_tells_where_time_went(mini_bundle: Path) -> None:
    audio = machine_sound(1.0, seed=3)
    audio.flags.writeable = False
    timings: dict[str, float] = {}

    Bundle.open(mini_bundle).detector().score(audio, timings)

    assert timings.keys() == {"views", "fkie features", "fkie encoder", "scorer", "fusion"}
    assert min(timings.values()) > 0


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((1, WINDOW_SAMPLES), np.float32),
        np.zeros((2, WINDOW_SAMPLES - 1), np.float32),
        np.full((2, WINDOW_SAMPLES), np.nan, np.float32),
    ],
)
def test_window_of_another_shape_or_not_finite_is_refused(
    mini_bundle: Path, audio: np.ndarray
) -> None:
    with pytest.raises(AudioError):
        Bundle.open(mini_bundle).detector().score(audio)


def test_extractors_can_be_shared_between_detectors(mini_bundle: Path) -> None:
    bundle = Bundle.open(mini_bundle)
    shared = bundle.extractors()
    audio = machine_sound(1.0, seed=3)

    scores = [bundle.detector(extractors=e).score(audio) for e in (shared, shared, None)]

    assert scores[0] == scores[1] == scores[2]
