"""``edge-asd score`` on files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.mini_bundle import MACHINE, RATE_HZ, machine_sound
from device.stream import sliced_scores
from typer.testing import CliRunner

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.cli import app

SCORE_TOLERANCE = 1e-6


def write(path: Path, audio: np.ndarray, rate_hz: int = RATE_HZ) -> str:
    soundfile.write(path, audio.T, rate_hz, subtype="FLOAT")
    return str(path)


def score(mini_bundle: Path, *args: str) -> tuple[int, list[dict], str]:
    """Exit code, JSON lines and stderr."""
    result = CliRunner().invoke(app, ["score", "--bundle", str(mini_bundle), "--json", *args])
    return (
        result.exit_code,
        [json.loads(line) for line in result.stdout.splitlines()],
        result.stderr,
    )


def test_a_normal_and_a_faulty_recording_are_told_apart(tmp_path: Path, mini_bundle: Path) -> None:
    good = write(tmp_path / "good.wav", machine_sound(1, seed=5))
    bad = write(tmp_path / "bad.wav", machine_sound(1, seed=6, faulty=True))

    exit_code, rows, _ = score(mini_bundle, good, bad)

    assert exit_code == 0
    assert [(row["file"], row["verdict"]) for row in rows] == [
        (good, "normal"),
        (bad, "ANOMALOUS"),
    ]
    assert rows[1]["score"] > rows[1]["threshold"] > rows[0]["score"]
    assert set(rows[0]["branches"]) == {"fkie@near", "fkie@far"}


def test_a_long_recording_has_the_mean_and_the_maximum_of_its_windows(
    tmp_path: Path, mini_bundle: Path
) -> None:
    audio = np.concatenate([machine_sound(2, seed=1), machine_sound(1, seed=2, faulty=True)], 1)
    path = write(tmp_path / "long.wav", audio)
    audio, _ = read_audio(path)

    _, (row,), _ = score(mini_bundle, path, "--windows")

    detector = Bundle.open(mini_bundle).detector(MACHINE)
    expected = [s.score for _, s in sliced_scores(detector, audio, RATE_HZ // 2)]
    found = [window["score"] for window in row["windows"]]
    assert found == pytest.approx(expected, abs=SCORE_TOLERANCE)
    assert row["score"] == pytest.approx(np.mean(expected), abs=SCORE_TOLERANCE)
    assert row["max_score"] == pytest.approx(max(expected), abs=SCORE_TOLERANCE)
    assert [window["window_start_s"] for window in row["windows"]] == [0, 0.5, 1, 1.5, 2]


@pytest.mark.parametrize(("hop_s", "n_windows"), [("0.25", 9), ("1", 3), ("5", 1)])
def test_the_hop_can_be_chosen(
    tmp_path: Path, mini_bundle: Path, hop_s: str, n_windows: int
) -> None:
    path = write(tmp_path / "long.wav", machine_sound(3, seed=1))

    _, (row,), _ = score(mini_bundle, path, "--hop-s", hop_s)

    assert row["n_windows"] == n_windows


@pytest.mark.parametrize("rate_hz", [44100, 48000])
def test_a_recording_at_another_rate_is_resampled(
    tmp_path: Path, mini_bundle: Path, rate_hz: int
) -> None:
    good = write(tmp_path / "good.wav", machine_sound(1, seed=5, rate_hz=rate_hz), rate_hz)
    bad = write(tmp_path / "a.wav", machine_sound(1, seed=5, faulty=True, rate_hz=rate_hz), rate_hz)

    _, rows, _ = score(mini_bundle, good, bad)

    assert [row["verdict"] for row in rows] == ["normal", "ANOMALOUS"]


def test_a_recording_shorter_than_the_window_is_refused_with_both_lengths(
    tmp_path: Path, mini_bundle: Path
) -> None:
    path = write(tmp_path / "short.wav", machine_sound(0.75, seed=1))

    exit_code, rows, stderr = score(mini_bundle, path)

    assert (exit_code, rows) == (1, [])
    assert "0.75 s" in stderr
    assert "1 s" in stderr


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, mini_bundle: Path) -> None:
    good = write(tmp_path / "good.wav", machine_sound(1, seed=5))
    mono = write(tmp_path / "mono.wav", machine_sound(1, seed=5)[:1])

    exit_code, rows, stderr = score(mini_bundle, mono, str(tmp_path / "gone.wav"), good)

    assert exit_code == 1
    assert [row["file"] for row in rows] == [good]
    assert "mono.wav has 1 channel" in stderr
    assert "no audio file at" in stderr


def test_the_table_has_a_row_per_file_and_per_window(tmp_path: Path, mini_bundle: Path) -> None:
    good = write(tmp_path / "good.wav", machine_sound(2, seed=5))
    bad = write(tmp_path / "bad.wav", machine_sound(1, seed=6, faulty=True))

    result = CliRunner().invoke(
        app, ["score", good, bad, "--bundle", str(mini_bundle), "--windows"]
    )

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert sum("from" in line for line in lines) == 4
    assert any("bad.wav" in line and "ANOMALOUS" in line for line in lines)
    assert any("good.wav" in line and "normal" in line for line in lines)
    assert "fkie@near" in result.stdout


@pytest.mark.parametrize(
    ("args", "exit_code", "complaint"),
    [(["--machine", "fan"], 2, "fan"), (["--bundle", "/nowhere"], 1, "no bundle at /nowhere")],
)
def test_an_unknown_machine_or_bundle_is_one_line(
    tmp_path: Path, mini_bundle: Path, args: list[str], exit_code: int, complaint: str
) -> None:
    path = write(tmp_path / "good.wav", machine_sound(1, seed=5))

    found, rows, stderr = score(mini_bundle, path, *args)

    assert (found, rows) == (exit_code, [])
    assert complaint in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["pump[old].wav", "[/b].wav", ":fan:.wav"])
def test_the_table_shows_a_file_name_as_it_is(
    tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, _, file = name.rpartition("/")
    (tmp_path / folder).mkdir(exist_ok=True)
    write(tmp_path / folder / file, machine_sound(1, seed=5))

    result = CliRunner().invoke(app, ["score", "--bundle", str(mini_bundle), name])

    assert result.exit_code == 0, result.output
    assert name in result.stdout


def test_a_file_whose_name_is_no_text_does_not_end_the_others(
    tmp_path: Path, mini_bundle: Path
) -> None:
    good = write(tmp_path / "good.wav", machine_sound(1, seed=5))
    odd = tmp_path / "caf\udce9.wav"
    odd.write_bytes(Path(good).read_bytes())

    exit_code, rows, stderr = score(mini_bundle, str(odd), good)

    assert (exit_code, [row["file"] for row in rows]) == (1, [good])
    assert "is not valid UTF-8" in stderr
