"""The largest system goes through every command of the device like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from device import parts_bundle as parts
from device.listening import of, run_in_process
from device.stream import sliced_scores
from device.system3_bundle import MACHINE, NORMAL, SYSTEM, write_system3_bundle
from numpy.typing import NDArray
from rich.text import Text
from typer.testing import CliRunner

from edge_asd.audio.decode import rounded_to_16_bits
from edge_asd.bundle import bundle as bundle_module
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.cli import app
from edge_asd.scoring.graph import open_session

SCORE_TOLERANCE = 1e-6
HOP_SAMPLES = round(parts.HOP_S * parts.RATE_HZ)
N_WINDOWS = 7
VIEWS = ("near", "far")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system3_bundle(tmp_path_factory.mktemp("system3") / "bundle")


@pytest.fixture
def audio() -> NDArray[np.float32]:
    """Noise that gets louder, seven windows of it and a rest, with 16 bits."""
    n_samples = parts.WINDOW_SAMPLES + (N_WINDOWS - 1) * HOP_SAMPLES + 100
    noise = np.random.default_rng(4).standard_normal((2, n_samples))
    louder = (0.1 * noise * np.linspace(0.5, 2, n_samples)).astype(np.float32)
    return rounded_to_16_bits(louder)


@pytest.fixture
def recording(tmp_path: Path, audio: NDArray[np.float32]) -> str:
    path = tmp_path / "noise.wav"
    soundfile.write(path, audio.T, parts.RATE_HZ, subtype="FLOAT")
    return str(path)


def scored(bundle: Path, recording: str) -> dict[str, Any]:
    """What ``score`` says of a recording, with its windows."""
    options = ["--bundle", str(bundle), "--windows", "--json"]
    result = CliRunner().invoke(app, ["score", recording, *options])
    assert result.exit_code == 0, result.output
    row: dict[str, Any] = json.loads(result.stdout)
    return row


class Recorder:
    """A session that remembers how many rows each of its runs had."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.runs: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def run(self, outputs: None, inputs: dict[str, NDArray[np.float32]]) -> Any:
        (n_rows,) = {len(rows) for rows in inputs.values()}
        self.runs.append(n_rows)
        return self.session.run(outputs, inputs)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Recorder]]:
    """Every graph that is opened, by file name."""
    opened: list[tuple[str, Recorder]] = []

    def recording_session(path: Path, *, threads: int = 1) -> Recorder:
        opened.append((path.name, Recorder(open_session(path, threads=threads))))
        return opened[-1][1]

    monkeypatch.setattr(bundle_module, "open_session", recording_session)
    return opened


def test_listening_and_scoring_give_the_scores_of_every_branch_of_the_windows(
    bundle: Path, recording: str, audio: NDArray[np.float32]
) -> None:
    exit_code, events, stderr = run_in_process(bundle, "--input", recording)
    offline = scored(bundle, recording)["windows"]

    assert (exit_code, stderr) == (0, "")
    streamed = of(events, "score")
    expected = [s for _, s in sliced_scores(Bundle.open(bundle).detector(), audio, HOP_SAMPLES)]
    assert len(expected) == N_WINDOWS
    for found in (streamed, offline):
        assert [row["score"] for row in found] == pytest.approx(
            [window.score for window in expected], abs=SCORE_TOLERANCE
        )
        for branch in SYSTEM.branches:
            scores = [window.branches[branch.name] for window in expected]
            assert np.std(scores) > 1e3 * SCORE_TOLERANCE
            assert [row["branches"][branch.name] for row in found] == pytest.approx(
                scores, abs=SCORE_TOLERANCE
            )


def test_the_score_is_the_mean_of_two_standardised_systems(bundle: Path) -> None:
    window = Bundle.open(bundle).detector().score(parts.window(5))

    score = window.branches
    system1 = np.mean([score[f"{name}@{view}"] for name in ("beats", "fkie") for view in VIEWS])
    (mean1, std1), (mean2, std2) = NORMAL
    expected = ((system1 - mean1) / std1 + (score["resnet@stereo"] - mean2) / std2) / 2
    assert window.score == pytest.approx(expected, abs=SCORE_TOLERANCE)


@pytest.mark.parametrize(("command", "n_golden"), [("listen", 2), ("score", 0)])
def test_every_graph_is_loaded_once_and_runs_once_for_both_channels_of_a_window(
    bundle: Path,
    recording: str,
    sessions: list[tuple[str, Recorder]],
    command: str,
    n_golden: int,
) -> None:
    if command == "listen":
        run_in_process(bundle, "--input", recording)
    else:
        scored(bundle, recording)

    n_windows = n_golden + N_WINDOWS
    assert len(sessions) == len(dict(sessions))
    assert {name: session.runs for name, session in sessions} == {
        "beats.bands.onnx": [2] * n_windows,
        "beats.onnx": [2] * n_windows,
        "fkie.bands.onnx": [2] * n_windows,
        "fkie.onnx": [2] * n_windows,
        "resnet.bands.onnx": [1] * n_windows,
        "resnet.onnx": [parts.N_SEGMENTS] * n_windows,
    }


def test_check_loads_every_graph_once_and_runs_it_once_for_each_golden_window(
    bundle: Path, sessions: list[tuple[str, Recorder]]
) -> None:
    list(check_bundle(bundle))

    assert [name for name, _ in sessions] == [
        f"{name}{kind}.onnx" for name in SYSTEM.extractors for kind in (".bands", "")
    ]
    assert {len(session.runs) for _, session in sessions} == {2}


def test_bench_tells_time_and_memory_of_every_extractor(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    options = ["--bundle", str(bundle), "--seconds", "0.1", "--json", str(path)]

    result = CliRunner().invoke(app, ["bench", *options])

    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert [stage["stage"] for stage in report["stages"]] == [
        "views",
        *(f"{name} {stage}" for name in SYSTEM.extractors for stage in ("features", "encoder")),
        "scorer",
        "fusion",
        "window",
    ]
    assert [step["part"] for step in report["memory"][1:]] == list(SYSTEM.extractors)
    for name in SYSTEM.extractors:
        assert f"{name} encoder" in result.stdout


@pytest.mark.parametrize(("columns", "shown"), [("80", False), ("130", True)])
def test_a_narrow_terminal_shows_whole_numbers_rather_than_every_branch(
    bundle: Path, recording: str, columns: str, shown: bool
) -> None:
    terminal = {"COLUMNS": columns, "FORCE_COLOR": "1", "TERM": "xterm"}

    result = CliRunner(env=terminal).invoke(app, ["score", recording, "--bundle", str(bundle)])

    assert result.exit_code == 0, result.output
    text = Text.from_ansi(result.stdout).plain
    row = scored(bundle, recording)
    assert f"machine {MACHINE}, threshold 1.0000" in text
    for number in (row["score"], row["max_score"]):
        assert f" {number:.4f} " in text
    assert "…" not in text
    assert [branch in text for branch in row["branches"]] == [shown] * 5
    assert ("--json shows every branch" in text) != shown
    assert max(map(len, text.splitlines())) <= int(columns)


def test_the_table_of_a_pipe_holds_every_branch(bundle: Path, recording: str) -> None:
    result = CliRunner().invoke(app, ["score", recording, "--bundle", str(bundle)])

    for branch, score in scored(bundle, recording)["branches"].items():
        assert branch in result.stdout
        assert f"{score:.4f}" in result.stdout
