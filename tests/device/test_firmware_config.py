"""The files that a device's administrator copies: profiles, udev rule, ALSA example."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from device.fake_card import RATE_HZ, FakeCards
from numpy.typing import NDArray
from places import ROOT

from edge_asd.profile import builtin_folder, builtin_profiles, load_profile
from edge_asd.service.plan import Setup, planned_files, usb_card

FOLDER = ROOT / "firmware_config"
BOARDS = ["jetson-orin-nano", "raspberry-pi-4", "raspberry-pi-5", "x86-64"]
N_CORES = {"jetson-orin-nano": 6, "raspberry-pi-4": 4, "raspberry-pi-5": 4, "x86-64": 4}


def tables(content: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted key and value of everything in a TOML file."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{above}{key}"
        flat |= tables(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def own(name: str) -> dict[str, Any]:
    return tables(tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")))


def test_there_is_a_profile_for_every_board() -> None:
    assert builtin_folder() == FOLDER
    assert builtin_profiles() == sorted(["default", *BOARDS])


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_differs_from_the_default_in_all_that_it_says(board: str) -> None:
    default = own("default")

    assert [key for key, value in own(board).items() if default[key] == value] == []


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_leaves_a_core_to_capture(board: str) -> None:
    assert load_profile(board).detector.threads < N_CORES[board]


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_says_why(board: str) -> None:
    text = (FOLDER / f"{board}.toml").read_text(encoding="utf-8")

    assert text.startswith("# ")


def test_the_udev_examples_are_what_the_program_writes() -> None:
    text = (FOLDER / "udev/70-edge-asd.rules").read_text(encoding="utf-8")
    examples = re.findall(r"^#(SUBSYSTEM.*)$", text, re.MULTILINE)

    written = []
    for usb in ("0d8c:0014", "0d8c:0014:A1B2"):
        setup = Setup(machine="pump-3", bundle=Path("/b"), command=(), usb=usb_card(usb))
        files = planned_files(setup, load_profile(), profile_text="", env="")
        written += [file.content.rstrip("\n") for file in files if file.path == setup.rule]

    assert examples[:2] == written
    assert 'KERNELS=="1-1.2"' in examples[2]


def recorded(pcm: str, conf: Path, folder: Path) -> NDArray[np.float32]:
    """One second (2, n) of what alsa-lib makes of a PCM."""
    wav = folder / "out.wav"
    subprocess.run(
        ["arecord", "-q", "-D", pcm, "-f", "S16_LE", "-c", "2", "-r", str(RATE_HZ), "-d", "1", wav],
        env=os.environ | {"ALSA_CONFIG_PATH": str(conf)},
        check=True,
        capture_output=True,
        timeout=300,
    )
    audio: NDArray[np.float32] = soundfile.read(wav, dtype="float32")[0].T
    return audio


@pytest.fixture
def asound_conf(tmp_path: Path) -> Path:
    """The example on top of three cards that play files: machine, near, far."""
    if not shutil.which("arecord"):
        pytest.skip("there is no arecord here: apt-get install alsa-utils")
    cards = FakeCards(tmp_path / "cards")
    levels = {"machine": (0.25, 0.5), "near": (0.25, 0.25), "far": (0.5, 0.5)}
    for card, (left, right) in levels.items():
        cards.add_file(0, np.repeat(np.array([[left], [right]], np.float32), 2 * RATE_HZ, axis=1))
        (cards.folder / "card0.raw").rename(cards.folder / f"card{card}.raw")
    conf = Path(cards.environment["ALSA_CONFIG_PATH"])
    example = (FOLDER / "alsa/asound.conf").read_text(encoding="utf-8")
    # The fake `hw` cannot carry `plughw`, whose slave is looked up inside alsa-lib.
    conf.write_text(conf.read_text() + example.replace("plughw:", "hw:"), encoding="utf-8")
    return conf


@pytest.mark.parametrize("pcm", ["machine", "near_far"])
def test_alsa_makes_near_and_far_of_the_example(
    pcm: str, asound_conf: Path, tmp_path: Path
) -> None:
    audio = recorded(pcm, asound_conf, tmp_path)

    assert audio.shape == (2, RATE_HZ)
    assert np.median(audio, axis=1) == pytest.approx([0.25, 0.5], abs=0.01)
