"""The bundle of an ensemble: what each member was trained without calibrates the threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from export.conftest import SILENT, new_run

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.explain.explainer import Explainer
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.scorer import exact_scores
from edge_asd_export.bundling.bundle_writer import WrittenBundle, write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import train_network

Clips = dict[str, tuple[Clip, ...]]
BRANCH = "ltas@near"
MEMBERS, DIM = 5, 128


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "ltas"
    run, tasks = new_run(path, small_data, systems=("system5",))
    train_network(run, "ltas", tasks["ltas"].items, device=torch.device("cpu"))
    return run


@pytest.fixture(scope="module")
def written(
    run: Run, small_clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> WrittenBundle:
    out = tmp_path_factory.mktemp("bundles") / "ltas"
    return write_bundle(run, small_clips, out, ExportOptions(quantize="none"), SILENT)


def test_check_accepts_it(written: WrittenBundle) -> None:
    found = {finding.what: finding.detail for finding in check_bundle(written.path)}

    assert "5 x 128 dimensions" in found["graphs of ltas"]


def test_members_do_not_know_the_clips_that_they_were_trained_without(
    written: WrittenBundle, run: Run, small_clips: Clips
) -> None:
    folds = run.folds(small_clips["fan"])

    bank = written.manifest.machines["fan"].banks[BRANCH]["source"]

    expected = [folds[clip] for clip in small_clips["fan"] if clip.domain == "source"]
    assert np.load(written.path / str(bank.folds_file)).tolist() == expected
    assert set(expected) == set(range(MEMBERS))


def test_normal_scores_are_those_of_the_member_that_was_trained_without_the_clip(
    written: WrittenBundle,
) -> None:
    bundle = Bundle.open(written.path)
    banks = written.manifest.machines["fan"].banks[BRANCH]
    rows, folds = {}, {}
    for domain, bank in banks.items():
        rows[domain] = np.load(written.path / bank.file).reshape(-1, MEMBERS, DIM)
        folds[domain] = np.load(written.path / str(bank.folds_file))

    spectra = bundle.spectra("fan")

    assert spectra is not None
    for i, fold in enumerate(folds["source"]):
        known = {domain: rows[domain][folds[domain] != fold, fold] for domain in rows}
        alone = exact_scores(
            rows["source"][[i], fold], known, bundle.manifest.reference_scorers[BRANCH]
        )
        assert spectra.scores[BRANCH][i] == pytest.approx(alone[0], rel=1e-5)


def test_an_alarm_is_explained_by_references_near_to_the_members(
    written: WrittenBundle, small_data: Path
) -> None:
    bundle = Bundle.open(written.path)
    detector = bundle.detector("fan")
    faulty = read_audio(next((small_data / "fan" / "test").glob("*anomaly*")))[0]

    explanation = Explainer(detector, bundle.spectra("fan")).explain(faulty, detector.score(faulty))

    assert explanation is not None
    assert explanation.n_neighbours == 8
    assert explanation.low_hz is not None and explanation.high_hz is not None
    assert explanation.low_hz < 5200 < explanation.high_hz  # the whine of the fault


def test_int8_is_judged_by_all_members(run: Run, small_clips: Clips, tmp_path: Path) -> None:
    written = write_bundle(run, small_clips, tmp_path / "int8", ExportOptions(), SILENT)

    report = written.reports["ltas"]
    assert report is not None
    assert report.n_quantized_weights == 2 * MEMBERS
    assert report.size_ratio < 0.3
    assert report.cosine_mean > 0.99
    assert report.score_correlation > 0.95


def test_clips_of_which_nothing_was_recorded_are_known_to_all(
    run: Run, small_clips: Clips, tmp_path: Path
) -> None:
    unknown = Run(run.path, run.record.model_copy(update={"folds": {}}))

    written = write_bundle(
        unknown, small_clips, tmp_path / "b", ExportOptions(quantize="none"), SILENT
    )

    bank = written.manifest.machines["pump"].banks[BRANCH]["target"]
    assert set(np.load(written.path / str(bank.folds_file)).tolist()) == {-1}
    assert written.manifest.machines["pump"].threshold.n_takes == 14


def test_a_threshold_that_hardly_any_sound_reaches_is_told(
    run: Run, small_clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    progress = ExportProgress(said.append, lambda done, total: None)
    monkeypatch.setattr(Detector, "strange_score", lambda self: 0.0)

    write_bundle(run, small_clips, tmp_path / "bundle", ExportOptions(quantize="none"), progress)

    warned = [line.split(": ")[1] for line in said if "hardly anything will raise" in line]
    assert warned == list(small_clips)
