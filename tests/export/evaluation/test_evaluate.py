"""From test clips to figures: which clips are scored, how, and what is refused or skipped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.mini_bundle import MACHINE, write_mini_bundle
from device.mini_bundle import WINDOW_SAMPLES as MINI_WINDOW_SAMPLES
from export.evaluation_fakes import (
    RATE_HZ,
    WINDOW_SAMPLES,
    LoudnessDetector,
    manifest,
    write_clip,
    write_machine,
)
from typer.testing import CliRunner

from edge_asd.audio.decode import read_audio
from edge_asd.cli import app
from edge_asd.errors import DataError
from edge_asd_export.data.clips import scan
from edge_asd_export.evaluation.evaluate import FUSED, Evaluation, ScoredClips, evaluate_scores
from edge_asd_export.evaluation.score_clips import score_machine
from edge_asd_export.evaluation.test_sets import MachineTestSet, plan_test_sets
from edge_asd_export.synth.dataset import NOTE_FILE

SAME_SCORE = 1e-5  # evaluation and the device must agree to this
MEAN_OF_FLOAT32 = 1e-6
HOP_S = 0.05


def plan(
    data: Path, *machines: str, ground_truth: Path | None = None
) -> tuple[tuple[MachineTestSet, ...], tuple[str, ...]]:
    return plan_test_sets(
        scan([data], read_samples=False),
        {"hall": manifest(machines or ("fan",))},
        ground_truth=ground_truth,
    )


def score(data: Path, ground_truth: Path | None = None) -> ScoredClips:
    (test_set,), _ = plan(data, ground_truth=ground_truth)
    return score_machine(LoudnessDetector(), test_set, hop_s=HOP_S, threshold=0.2)


def clips(machine: str, *, known: bool = True) -> ScoredClips:
    is_anomaly = np.array([False, True] * 4)
    is_target = np.arange(8) >= 4
    scores = np.array([0.0, 1.1, 0.2, 1.3, 0.4, 1.5, 0.6, 1.7])
    return ScoredClips(
        machine,
        {FUSED: scores, "fkie@far": -scores},
        is_anomaly if known else None,
        is_target if known else None,
        threshold=1.2,
    )


def test_clips_that_the_monitor_would_not_score_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_machine(tmp_path / "fan")
    path = sorted((tmp_path / "fan/test").iterdir())[0]
    audio, rate_hz = read_audio(path)
    soundfile.write(path, audio.T * 32768, rate_hz, "FLOAT", format="WAV")

    score(tmp_path)

    (line,) = [line for line in caplog.messages if "far beyond full scale" in line]
    assert line.startswith(f"{path}: ")
    assert line.endswith(", the monitor would not score it")


def test_louder_anomalies_are_ranked_above_every_normal_clip(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")

    evaluation = evaluate_scores([score(tmp_path)])

    (machine,) = evaluation.machines
    assert machine.figures[FUSED].metrics.official == (1.0, 1.0, 1.0)
    assert machine.composition == dict.fromkeys(
        ["source normal", "source anomaly", "target normal", "target anomaly"], 3
    )
    assert evaluation.official[FUSED].score == 1.0


def test_a_long_clip_is_scored_as_the_mean_over_its_windows(tmp_path: Path) -> None:
    folder = tmp_path / "fan" / "test"
    path = write_clip(folder / "section_00_0000.wav", n_samples=3 * WINDOW_SAMPLES, rising=True)

    scored = score(tmp_path)

    audio, _ = read_audio(path)
    starts = [round(HOP_S * RATE_HZ) * index for index in range(5)]
    loudness = [np.abs(audio[0, s : s + WINDOW_SAMPLES]).mean() for s in starts]
    assert loudness[-1] > 2 * loudness[0]
    assert scored.scores[FUSED][0] == pytest.approx(np.mean(loudness), abs=MEAN_OF_FLOAT32)
    assert scored.scores["fkie@far"][0] == pytest.approx(np.mean(loudness) / 2, abs=MEAN_OF_FLOAT32)


def test_clips_shorter_than_the_window_are_refused_before_scoring(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan", n_samples=WINDOW_SAMPLES // 2)

    with pytest.raises(DataError, match=r"'fan' are 0\.05 s long"):
        plan(tmp_path)


def test_clips_at_another_rate_than_the_bundles_are_refused(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")

    with pytest.raises(DataError, match="have 16000 Hz, the bundle needs 8000 Hz"):
        plan_test_sets(
            scan([tmp_path]), {"hall": manifest().model_copy(update={"sample_rate_hz": 8000})}
        )


def test_figures_of_synthetic_recordings_are_said_to_be_synthetic(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")
    (tmp_path / "fan" / NOTE_FILE).touch()

    _, (warning,) = plan(tmp_path)

    assert warning.startswith("fan: synthetic recordings; their figures say that the software")


def test_machines_on_one_side_only_are_named_and_skipped(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")
    write_machine(tmp_path / "pump")

    test_sets, warnings = plan(tmp_path, "fan", "slider")

    assert [test_set.machine for test_set in test_sets] == ["fan"]
    assert warnings == (
        "machine 'pump' is left out: hall does not know it",
        "machine 'slider' is left out: the data has no test clips of it",
    )


def test_data_of_other_machines_only_is_refused_with_both_lists(tmp_path: Path) -> None:
    write_machine(tmp_path / "pump")

    with pytest.raises(DataError, match=r"knows fan, .* clips of pump"):
        plan(tmp_path)


def test_a_machine_without_test_clips_leaves_nothing_to_evaluate(tmp_path: Path) -> None:
    write_clip(tmp_path / "fan" / "train" / "section_00_source_train_normal_0000.wav")

    with pytest.raises(DataError, match="test clips of no machine"):
        plan(tmp_path)


def test_unusable_test_clips_are_refused_and_unusable_train_clips_are_not(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")
    (tmp_path / "fan" / "train" / "damaged.wav").write_bytes(b"RIFF")
    assert plan(tmp_path)[0]

    (tmp_path / "fan" / "test" / "section_00_0000.wav").write_bytes(b"RIFF")

    with pytest.raises(DataError, match=r"section_00_0000\.wav"):
        plan(tmp_path)


def test_anonymous_clips_get_scores_but_no_figures(tmp_path: Path) -> None:
    write_clip(tmp_path / "fan" / "test" / "section_00_0000.wav")

    scored = score(tmp_path)
    evaluation = evaluate_scores([scored])

    assert scored.scores[FUSED].shape == (1,)
    assert "anonymous" in str(evaluation.machines[0].skipped)
    assert evaluation.official == {}


def test_ground_truth_makes_anonymous_clips_measurable(tmp_path: Path) -> None:
    flags = {"section_00_0000": (0, 0), "section_00_0001": (1, 1), "section_00_0002": (0, 1)}
    for index, clip in enumerate(flags):
        write_clip(tmp_path / "data" / "fan" / "test" / f"{clip}.wav", 0.1 * (index + 1))
    for place, kind in enumerate(("data", "domain")):
        folder = tmp_path / "truth" / f"ground_truth_{kind}"
        folder.mkdir(parents=True)
        rows = (f"{clip}.wav,{flag[place]}\n" for clip, flag in flags.items())
        (folder / "ground_truth_fan_section_00_test.csv").write_text("".join(rows))

    scored = score(tmp_path / "data", tmp_path / "truth")

    assert scored.is_anomaly is not None
    assert scored.is_target is not None
    assert scored.is_anomaly.tolist() == [False, True, False]
    assert scored.is_target.tolist() == [False, True, True]


def test_ground_truth_that_lacks_a_clip_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "data" / "fan" / "test" / "section_00_0000.wav")
    for kind in ("data", "domain"):
        folder = tmp_path / "truth" / f"ground_truth_{kind}"
        folder.mkdir(parents=True)
        (folder / "ground_truth_fan_section_00_test.csv").write_text("other.wav,0\n")

    with pytest.raises(DataError, match="lacks 1 of 1 clips"):
        plan(tmp_path / "data", ground_truth=tmp_path / "truth")


def test_decisions_are_strictly_above_the_threshold() -> None:
    # The anomalies score 1.1, 1.3, 1.5 and 1.7, the highest normal clip 0.6.
    scored = replace(clips("fan"), threshold=1.3)

    decided = evaluate_scores([scored]).machines[0].decisions

    assert decided["all"].recall == 0.5
    assert decided["source"].recall == 0.0
    assert decided["target"].recall == 1.0
    assert decided["all"].false_alarm_rate == 0.0


def test_stated_rates_are_compared_with_what_they_give_and_averaged_over_machines() -> None:
    low, high = {0.05: 0.5, 0.01: 1.3}, {0.05: 1.3, 0.01: 2.0}
    one, other = replace(clips("fan"), levels=low), replace(clips("pump"), levels=high)

    evaluation = evaluate_scores([one, other, clips("valve")])

    stated = evaluation.machines[0].stated
    assert (stated[0.05].recall, stated[0.01].recall) == (1.0, 0.5)
    assert stated[0.05].false_alarm_rate > stated[0.01].false_alarm_rate == 0.0
    assert evaluation.stated[0.05] == (stated[0.05].false_alarm_rate / 2, 0.75)
    assert evaluation.stated[0.01] == (0.0, 0.25)
    assert not evaluation.machines[2].stated


def test_every_kind_of_score_is_measured_alone() -> None:
    evaluation = evaluate_scores([clips("fan"), clips("pump")])

    assert evaluation.official[FUSED].score == 1.0
    assert evaluation.official["fkie@far"].score < 0.001
    assert list(evaluation.machines[0].figures) == [FUSED, "fkie@far"]


def test_a_machine_without_figures_does_not_count_in_the_official_score() -> None:
    evaluation: Evaluation = evaluate_scores([clips("fan"), clips("pump", known=False)])

    assert [machine.machine for machine in evaluation.measured] == ["fan"]
    assert evaluation.official == evaluate_scores([clips("fan")]).official


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini_bundle(tmp_path_factory.mktemp("evaluate") / "bundle")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_machine(folder / MACHINE, n_samples=2 * MINI_WINDOW_SAMPLES)
    write_machine(folder / "fan")
    return folder


def call(data: Path, bundle: Path, out: Path) -> list[str]:
    return ["evaluate", "--data", str(data), "--bundle", str(bundle), "--out", str(out)]


def test_evaluate_gives_a_clip_the_score_that_the_score_command_gives(
    bundle: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    paths = sorted((recordings / MACHINE / "test").iterdir())

    evaluated = CliRunner().invoke(app, call(recordings, bundle, out))
    every_window = tmp_path / "every-window.toml"  # also of square waves, as no microphone hears
    every_window.write_text("[signal]\nchecks = false\n", encoding="utf-8")
    options = ["--bundle", str(bundle), "--profile", str(every_window), "--json"]
    scored = CliRunner().invoke(app, ["score", *options, *(str(path) for path in paths)])

    assert evaluated.exit_code == 0, evaluated.stderr
    expected = [json.loads(line) for line in scored.stdout.splitlines()]
    assert {one["n_windows"] for one in expected} == {3}
    rows = (out / f"anomaly_score_{MACHINE}_section_00_test.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == [path.name for path in paths]
    assert [float(row.split(",")[1]) for row in rows] == pytest.approx(
        [one["score"] for one in expected], rel=SAME_SCORE
    )


def test_the_command_prints_a_table_warnings_and_where_the_report_is(
    bundle: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"

    result = CliRunner().invoke(app, call(recordings, bundle, out))

    assert result.exit_code == 0, result.stderr
    assert "official score" in result.stdout
    assert "machine 'fan' is left out: bundle does not know it" in result.stderr
    assert str(out / "report.html") in result.stderr


def test_the_command_prints_the_results_file_as_json(
    bundle: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"

    result = CliRunner().invoke(app, [*call(recordings, bundle, out), "--json"])

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == json.loads((out / "results.json").read_text())


def test_the_command_refuses_a_folder_that_is_not_a_report_before_scoring(
    bundle: Path, recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")

    result = CliRunner().invoke(app, call(recordings, bundle, tmp_path))

    assert result.exit_code == 2
    assert "is not a report" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_clip_that_cannot_be_decoded_leaves_no_report(
    bundle: Path, recordings: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(recordings / MACHINE, data / MACHINE)
    damaged = data / MACHINE / "test" / "section_00_0000.wav"
    write_clip(damaged, float("nan"), MINI_WINDOW_SAMPLES * 2)

    result = CliRunner().invoke(app, call(data, bundle, tmp_path / "out" / "report"))

    assert result.exit_code == 1
    assert damaged.name in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_test_clip_behind_a_link_is_refused(tmp_path: Path) -> None:
    write_machine(tmp_path / "data" / "fan")
    damaged = tmp_path / "elsewhere.wav"
    damaged.write_bytes(b"RIFF")
    (tmp_path / "data" / "fan" / "test" / "section_00_0000.wav").symlink_to(damaged)

    with pytest.raises(DataError, match="section_00_0000"):
        plan(tmp_path / "data")
