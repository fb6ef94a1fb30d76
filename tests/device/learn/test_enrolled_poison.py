"""Enrolment learns nothing that the monitor would not trust, and says what decides a threshold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from device.faulty_sound import Spoil, floats_in_16_bit_scale, mono, silence
from device.listening import write
from device.mini_bundle import machine_sound
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.learn.store import LearnedStore
from edge_asd.state.folder import StateFolder

N_FILES = 12
ODD = 5


def enroll(bundle: Path, tmp_path: Path, sounds: Sequence[NDArray], *args: str) -> Result:
    inputs: list[str] = []
    for i, sound in enumerate(sounds):
        inputs += ["--input", write(tmp_path / f"{i:02d}.wav", sound)]
    state = ["--state", str(tmp_path / "state"), "--machine", "pump-3"]
    return CliRunner().invoke(app, ["enroll", "--bundle", str(bundle), *state, *inputs, *args])


def sounds(odd: NDArray) -> list[NDArray]:
    """Files of 3 s, five windows each, one of them odd."""
    return [odd if i == ODD else machine_sound(3, seed=i) for i in range(N_FILES)]


def exchanged(sound: NDArray) -> NDArray:
    return sound[::-1]


def threshold(result: Result) -> float:
    (found,) = re.findall(r"^threshold ([\d.]+)", result.stdout, re.MULTILINE)
    return float(found)


@pytest.mark.parametrize("spoil", [floats_in_16_bit_scale, silence, mono, exchanged])
def test_one_bad_file_among_good_ones_is_not_learned(
    mini_bundle: Path, tmp_path: Path, spoil: Spoil
) -> None:
    result = enroll(mini_bundle, tmp_path, sounds(spoil(machine_sound(3, seed=ODD))))

    assert result.exit_code == 0, result.stderr
    learned = LearnedStore(StateFolder(tmp_path / "state", "pump-3")).load()
    assert learned is not None
    assert learned.site.enrolled["source"].n_windows == 5 * (N_FILES - 1)
    assert threshold(result) < 3


def test_enrolment_names_the_file_that_decides_the_threshold(
    mini_bundle: Path, tmp_path: Path
) -> None:
    result = enroll(mini_bundle, tmp_path, sounds(machine_sound(3, seed=ODD, faulty=True)))

    assert result.exit_code == 0, result.stderr
    (warning,) = [line for line in result.stderr.splitlines() if "alone puts the thresh" in line]
    assert warning.startswith("warning: pump-3: ")
    assert f"{ODD:02d}.wav from 0 to 3 s" in warning


@pytest.mark.parametrize(
    ("spoil", "meaning"),
    [
        (mono, "both channels are the same signal"),
        (silence, "both channels are digital silence"),
        (floats_in_16_bit_scale, "the samples are far beyond full scale"),
        (exchanged, "near and far are exchanged"),
    ],
)
def test_files_that_are_left_out_are_named(
    mini_bundle: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Spoil,
    meaning: str,
) -> None:
    enroll(mini_bundle, tmp_path, sounds(spoil(machine_sound(3, seed=ODD))))

    (said,) = [line for line in caplog.messages if f"{ODD:02d}.wav" in line]
    assert meaning in said
    assert said.endswith("5 windows are not learned")


def test_many_bad_files_are_refused_by_name(mini_bundle: Path, tmp_path: Path) -> None:
    files = [machine_sound(3, seed=i) for i in range(8)] + [mono(machine_sound(3, seed=9))] * 3

    result = enroll(mini_bundle, tmp_path, files)

    (refusal,) = result.stderr.splitlines()[-1:]
    assert result.exit_code == 1
    assert "15 of 55 windows cannot be used" in refusal
    assert "08.wav: both channels are the same signal" in refusal


def test_nothing_is_said_of_sound_of_one_kind(mini_bundle: Path, tmp_path: Path) -> None:
    result = enroll(mini_bundle, tmp_path, sounds(machine_sound(3, seed=ODD)))

    assert "alone puts the threshold" not in result.stderr
