"""The bundle that an export writes, opened and used as a device would."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export.conftest import CLIP_SAMPLES, SILENT

from edge_asd.audio import decode
from edge_asd.audio.audio_file import AudioFile
from edge_asd.audio.decode import read_audio
from edge_asd.bundle import golden
from edge_asd.bundle.arrays import read_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError, UsageError
from edge_asd.explain.explainer import Explainer
from edge_asd.explain.normal_spectra import measure_spectra
from edge_asd.scoring.ensemble import ReferenceSets
from edge_asd.scoring.held_out import Groups, held_out_scores
from edge_asd.scoring.kinds import ReferenceSpec
from edge_asd_export.bundling.bundle_writer import WrittenBundle, write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, Quantize
from edge_asd_export.bundling.graph_check import Tolerance
from edge_asd_export.calibration import scoring
from edge_asd_export.calibration.calibration import LabelledClips
from edge_asd_export.calibration.scoring import Floats
from edge_asd_export.data.clips import Clip, scan
from edge_asd_export.training.run import Run

Clips = dict[str, tuple[Clip, ...]]
RELATIVE = 1e-6  # the same graphs, the same machine


def test_bundle_verifies_and_lists_every_file(small_bundle: WrittenBundle) -> None:
    bundle = Bundle.open(small_bundle.path)

    on_disk = {
        path.relative_to(bundle.path).as_posix()
        for path in bundle.path.rglob("*")
        if path.is_file()
    }
    assert on_disk - {"manifest.json", "manifest.sha256"} == set(bundle.manifest.files)
    assert set(bundle.manifest.referenced_files()) == set(bundle.manifest.files)


def test_machines_carry_window_weights_and_threshold(small_bundle: WrittenBundle) -> None:
    manifest = Bundle.open(small_bundle.path).manifest

    assert sorted(manifest.machines) == ["fan", "pump"]
    for machine in manifest.machines.values():
        assert machine.window_samples == CLIP_SAMPLES
        assert sum(term.weight for term in machine.fusion.terms) == pytest.approx(1)
        assert machine.fusion.labels is None
        assert machine.threshold.n_scores == 14
        assert {d: bank.n for d, bank in machine.banks["fkie@near"].items()} == {
            "source": 10,
            "target": 4,
        }


def test_a_training_clip_scores_nothing_and_a_whine_much(
    small_bundle: WrittenBundle, small_data: Path
) -> None:
    detector = Bundle.open(small_bundle.path).detector("fan", search="exact")
    train = read_audio(next((small_data / "fan" / "train").glob("*source*")))[0]
    faulty = read_audio(next((small_data / "fan" / "test").glob("*anomaly*")))[0]

    known, unknown = detector.score(train), detector.score(faulty)

    assert known.branches["fkie@near"] == pytest.approx(0, abs=0.05)
    assert unknown.branches["fkie@near"] > 1


def test_spectra_are_those_of_the_clips_behind_the_banks(
    small_bundle: WrittenBundle, small_clips: Clips
) -> None:
    bundle = Bundle.open(small_bundle.path)
    target = [clip for clip in small_clips["fan"] if clip.domain == "target"]

    spectra = bundle.spectra("fan")

    assert spectra is not None
    banks = bundle.manifest.machines["fan"].banks["fkie@near"]
    assert {d: len(own) for d, own in spectra.domains.items()} == {d: b.n for d, b in banks.items()}
    third = measure_spectra([read_audio(target[2].path)[0]], bundle.manifest.sample_rate_hz)
    np.testing.assert_array_equal(spectra.domains["target"].mean_db[2], third.mean_db[0])
    assert {branch: len(own) for branch, own in spectra.scores.items()} == {
        "fkie@near": 14,
        "fkie@far": 14,
    }


def test_a_device_explains_with_what_was_exported(
    small_bundle: WrittenBundle, small_data: Path
) -> None:
    bundle = Bundle.open(small_bundle.path)
    detector = bundle.detector("fan")
    faulty = read_audio(next((small_data / "fan" / "test").glob("*anomaly*")))[0]
    explainer = Explainer(detector, bundle.spectra("fan"))

    explanation = explainer.explain(faulty, detector.score(faulty))

    assert explanation is not None
    assert explanation.n_neighbours == 8
    assert explanation.low_hz is not None and explanation.high_hz is not None
    assert explanation.low_hz < 5200 < explanation.high_hz  # the whine of the fault
    assert explanation.times_threshold is not None and explanation.times_threshold > 1


def test_golden_windows_repeat(small_bundle: WrittenBundle) -> None:
    bundle = Bundle.open(small_bundle.path)
    arrays = read_arrays(bundle.path / bundle.manifest.golden.file, "golden windows")

    agreement = golden.compare(bundle.detector("pump"), arrays)

    assert agreement.n_windows == 3  # one of each domain and a strange one
    assert agreement.min_cosine > 1 - RELATIVE
    assert agreement.max_score_difference < RELATIVE


@pytest.mark.parametrize("quantize", ["int8", "none"])
def test_every_clip_is_decoded_once(
    small_run: Run,
    small_clips: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quantize: Quantize,
) -> None:
    decoded: Counter[Path] = Counter()
    open_audio = decode.open_audio

    def counting_open(path: Path) -> AudioFile:
        decoded[path] += 1
        return open_audio(path)

    monkeypatch.setattr(decode, "open_audio", counting_open)

    options = ExportOptions(quantize=quantize)
    write_bundle(small_run, small_clips, tmp_path / "bundle", options, SILENT)

    assert decoded == {clip.path: 1 for own in small_clips.values() for clip in own}


def test_held_out_scores_are_computed_once(
    small_run: Run, small_clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []

    def counting_scores(
        references: ReferenceSets, groups: Groups, spec: ReferenceSpec, **others: Any
    ) -> dict[Domain, Floats]:
        computed.append(sum(map(len, references.values())))
        return held_out_scores(references, groups, spec, **others)

    monkeypatch.setattr(scoring, "held_out_scores", counting_scores)

    options = ExportOptions(quantize="none")
    write_bundle(small_run, small_clips, tmp_path / "bundle", options, SILENT)

    assert computed == [14] * 4  # the clips of two machines, near and far


def test_useless_int8_is_replaced_by_fp32_and_said(
    small_run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    options = ExportOptions(tolerance=Tolerance(cosine_mean=1.01))

    written = write_bundle(small_run, small_clips, tmp_path / "bundle", options, SILENT)

    report = written.reports["fkie"]
    assert report is not None
    assert report.precision == "fp32"
    assert "mean cosine" in str(report.refused_because)
    assert written.manifest.extractors["fkie"].encoder.precision == "fp32"
    assert written.manifest.export_report["fkie"]["refused_because"] == report.refused_because
    assert not list(written.path.rglob("*int8*"))


def test_unquantized_export_has_no_report(
    small_run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    options = ExportOptions(quantize="none", hop_s=0.125, scorers={"": "nearest"})

    written = write_bundle(small_run, small_clips, tmp_path / "bundle", options, SILENT)

    assert written.reports == {"fkie": None}
    assert written.manifest.hop_s == 0.125
    assert {branch.scorer.kind for branch in written.manifest.branches} == {"nearest"}
    assert Bundle.open(written.path).detector("fan").score(np.zeros((2, CLIP_SAMPLES), "f4"))


def test_labels_that_chose_the_weights_are_named(
    small_run: Run, small_clips: Clips, small_data: Path, tmp_path: Path
) -> None:
    test = {name: own.test for name, own in scan([small_data]).machines.items()}
    options = ExportOptions(quantize="none")

    written = write_bundle(
        small_run,
        small_clips,
        tmp_path / "b",
        options,
        SILENT,
        LabelledClips(test, "16 test clips"),
    )

    for machine in written.manifest.machines.values():
        assert machine.fusion.labels == "16 test clips"
        assert "grid search" in machine.fusion.method


def test_grid_search_needs_labels_of_every_machine(
    small_run: Run, small_clips: Clips, small_data: Path, tmp_path: Path
) -> None:
    test = {"fan": scan([small_data]).machines["fan"].test}
    options = ExportOptions(quantize="none")

    with pytest.raises(DataError, match="no labelled test clips of pump"):
        write_bundle(
            small_run, small_clips, tmp_path / "b", options, SILENT, LabelledClips(test, "fan only")
        )

    assert list(tmp_path.iterdir()) == []


def test_unfinished_run_leaves_nothing_behind(
    small_run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    shutil.copytree(small_run.path, tmp_path / "run")
    (tmp_path / "run" / "fkie" / "checkpoint.pt").unlink()

    with pytest.raises(DataError, match="0 of 2 epochs"):
        write_bundle(
            Run.open(tmp_path / "run"), small_clips, tmp_path / "b", ExportOptions(), SILENT
        )

    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(("system", "absent"), [("system1", "beats"), ("system2", "resnet")])
def test_a_system_that_the_run_was_not_trained_for_is_refused(
    small_run: Run, small_clips: Clips, tmp_path: Path, system: str, absent: str
) -> None:
    message = f"{system} needs {absent}, .* trained for system4: train {system}, or choose"

    with pytest.raises(UsageError, match=message) as caught:
        write_bundle(small_run, small_clips, tmp_path / "b", ExportOptions(system=system), SILENT)

    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_class_centres_of_a_network_without_any_are_refused(
    small_run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    options = ExportOptions(quantize="none", scorers={"fkie": "centres"})

    with pytest.raises(UsageError, match="fkie cannot be scored by 'centres'"):
        write_bundle(small_run, small_clips, tmp_path / "b", options, SILENT)

    assert list(tmp_path.iterdir()) == []
