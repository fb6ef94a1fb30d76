"""``score`` gives what ``listen --input`` gives: the same windows, the same verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from device.faulty_sound import far_hears_its_converter, mono, repeated_block, too_loud
from device.listening import of, run_in_process, write
from device.mini_bundle import RATE_HZ, machine_day, machine_sound
from device.wav_bytes import header, pcm16
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge_asd.cli import app

Audio = NDArray[np.float32]


def score(bundle: Path, *args: str) -> tuple[int, list[dict], str]:
    """Exit code, JSON lines and stderr."""
    result = CliRunner().invoke(app, ["score", "--bundle", str(bundle), "--json", *args])
    return result.exit_code, [json.loads(row) for row in result.stdout.splitlines()], result.stderr


def assert_alike(bundle: Path, path: str, *args: str) -> None:
    """Compare what both commands say of a file."""
    code, rows, _ = score(bundle, path, "--windows", *args)
    listened, events, stderr = run_in_process(bundle, "--input", path, *args)

    scores = of(events, "score")
    assert code == listened, stderr
    windows = rows[0]["windows"] if rows else []
    assert [w["window_start_s"] for w in windows] == [e["window_start_s"] for e in scores]
    assert [w["score"] for w in windows] == [e["score"] for e in scores]
    if rows:
        (row,), stopped = rows, events[-1]
        assert (row["n_windows"], row["n_skipped"]) == (
            stopped["windows"],
            stopped["skipped_windows"],
        )
        assert {row["threshold"]} == {event["threshold"] for event in scores}


def silent(audio: Audio) -> Audio:
    return audio * np.float32(0)


def far_unplugged(audio: Audio) -> Audio:
    return audio * np.array([[1], [0]], np.float32)


def dropping_out(audio: Audio) -> Audio:
    dropped = audio.copy()
    dropped[:, RATE_HZ // 2 : RATE_HZ // 2 + RATE_HZ // 5] = 0
    return dropped


def beyond(audio: Audio) -> Audio:
    return audio * np.float32(32768)


SPOILED = [
    silent, far_unplugged, dropping_out, beyond,
    far_hears_its_converter, mono, repeated_block, too_loud,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_half_spoiled_file_is_scored_as_it_is_heard(
    tmp_path: Path, mini_bundle: Path, spoil
) -> None:
    half = np.concatenate([machine_sound(4, seed=1), spoil(machine_sound(4, seed=2))], axis=1)

    assert_alike(mini_bundle, write(tmp_path / "half.wav", half))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_file_is_like_both_say_the_same(
    tmp_path: Path, mini_bundle: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sound = []
    for part in range(rng.integers(1, 5)):
        audio = machine_sound(float(rng.integers(1, 24)) / 8, seed=part)
        sound.append(SPOILED[rng.integers(len(SPOILED))](audio) if rng.random() < 0.5 else audio)
    rate_hz = int(rng.choice([8000, 11_025, 16_000, 44_100]))
    path = tmp_path / "awkward.wav"
    odd = bytes(int(rng.integers(4)))
    path.write_bytes(header(0, rate_hz=rate_hz) + pcm16(np.concatenate(sound, axis=1)) + odd)

    assert_alike(mini_bundle, str(path), "--hop-s", str(rng.choice([0.25, 0.5, 1.7])))


@pytest.mark.parametrize(
    ("profile", "n_windows", "n_skipped"),
    [
        ("[signal]\nchecks = false\n[detector]\nhop_s = 2.0\n", 4, 0),
        ("[capture]\nblock_s = 2.0\n[detector]\nhop_s = 2.0\n", 2, 2),
        ("[capture]\nblock_s = 0.013\n[detector]\nhop_s = 2.0\n", 2, 2),
    ],
)
def test_the_profile_decides_for_both(
    tmp_path: Path, mini_bundle: Path, profile: str, n_windows: int, n_skipped: int
) -> None:
    half = np.concatenate([machine_sound(4, seed=1), silent(machine_sound(4, seed=2))], axis=1)
    path = write(tmp_path / "half.wav", half)
    site = tmp_path / "site.toml"
    site.write_text(profile, encoding="utf-8")

    assert_alike(mini_bundle, path, "--profile", str(site))
    _, (row,), _ = score(mini_bundle, path, "--profile", str(site))
    assert (row["n_windows"], row["n_skipped"]) == (n_windows, n_skipped)


def test_windows_that_are_skipped_are_told_with_the_reason(
    tmp_path: Path, mini_bundle: Path
) -> None:
    half = np.concatenate([machine_sound(4, seed=1), silent(machine_sound(4, seed=2))], axis=1)
    path = write(tmp_path / "half.wav", half)

    code, (row,), stderr = score(mini_bundle, path)

    assert (code, row["verdict"]) == (0, "normal")
    (line,) = stderr.splitlines()
    assert line == f"warning: {row['warnings'][0]}"
    assert line.startswith(f"warning: {path}: 8 of 15 windows cannot be scored: ")
    assert "both channels are digital silence" in line


def test_a_file_without_one_usable_window_is_refused_with_the_reason(
    tmp_path: Path, mini_bundle: Path
) -> None:
    good = write(tmp_path / "good.wav", machine_sound(2, seed=5))
    path = write(tmp_path / "silent.wav", silent(machine_sound(5, seed=1)))

    code, rows, stderr = score(mini_bundle, path, good)

    assert (code, [row["file"] for row in rows]) == (1, [good])
    assert f"error: {path}: 9 of 9 windows cannot be scored: both channels" in stderr
    listened, _, said = run_in_process(mini_bundle, "--input", path)
    assert listened == 1
    assert "before one window of 1 s was scored: the sound of all 9 cannot be used" in said


def test_clipping_is_scored_and_told(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "loud.wav", too_loud(machine_sound(8, seed=1)))

    code, (row,), stderr = score(mini_bundle, path)

    assert (code, row["n_skipped"]) == (0, 0)
    assert f"warning: {path}: the input is too loud and clips (" in stderr


@pytest.mark.parametrize(("rate_hz", "heard"), [(8000, "4"), (11_025, "5.5125")])
def test_sound_without_its_upper_half_is_scored_with_a_warning(
    tmp_path: Path, mini_bundle: Path, rate_hz: int, heard: str
) -> None:
    path = write(tmp_path / "low.wav", machine_sound(2, seed=1, rate_hz=rate_hz), rate_hz)

    code, (row,), stderr = score(mini_bundle, path)

    (line,) = row["warnings"]
    assert code == 0
    assert stderr == f"warning: {line}\n"
    assert line.startswith(f"{path}: {rate_hz} Hz hold nothing above {heard} kHz")


def test_sound_without_its_upper_half_is_a_fault(tmp_path: Path, mini_bundle: Path) -> None:
    low = write(tmp_path / "low.wav", machine_day({"normal": 3}, rate_hz=8000), 8000)
    high = write(tmp_path / "high.wav", machine_day({"normal": 3}))

    _, events, _ = run_in_process(mini_bundle, "--input", low)
    _, others, _ = run_in_process(mini_bundle, "--input", high)

    (raised,) = of(events, "fault_raised")
    assert (raised["fault"], raised["severity"]) == ("capture_band", "impaired")
    assert "8000 Hz hold nothing above 4 kHz" in raised["detail"]
    assert of(others, "fault_raised") == []


def test_a_liar_among_files_is_told_and_scored(tmp_path: Path, mini_bundle: Path) -> None:
    path = tmp_path / "stale.wav"
    audio = machine_sound(10, seed=1)
    path.write_bytes(header(2 * 4 * RATE_HZ) + pcm16(audio))

    code, (row,), stderr = score(mini_bundle, str(path))

    assert (code, row["n_windows"]) == (0, 19)
    assert stderr == f"warning: {path}: its header says 2 s, 10 s are there and used\n"
