"""``edge-asd devices``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from device.fake_card import FakeCards, require_portaudio
from typer.testing import CliRunner

from edge_asd.capture import sound_device
from edge_asd.capture.sound_cards import SoundCard, UsbIdentity
from edge_asd.capture.sound_device import InputDevice
from edge_asd.cli import app

CARD = SoundCard(1, "Device", "USB Audio", UsbIdentity("0d8c", "0014", "A7"))
FOUND = [
    InputDevice(1, "USB Audio: - (hw:1,0)", "ALSA", 2, 48000, is_default=True, card=CARD),
    InputDevice(3, "Mono Mic: - (hw:2,0)", "ALSA", 1, 44100),
]


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_device, "input_devices", lambda: FOUND)


@pytest.mark.usefixtures("two_devices")
def test_the_table_marks_what_is_usable() -> None:
    result = CliRunner().invoke(app, ["devices"])

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert any("(hw:1,0)" in line and "48000 Hz" in line and "yes" in line for line in lines)
    assert any("(hw:2,0)" in line and "needs 2 channels" in line for line in lines)
    assert any(
        all(part in line for part in ("(hw:1,0)", "usb:0d8c:0014", "1 = Device", "A7"))
        for line in lines
    )


@pytest.mark.usefixtures("two_devices")
def test_json_has_one_object_per_device() -> None:
    result = CliRunner().invoke(app, ["devices", "--json"])

    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["index"], row["n_channels"], row["usable"]) for row in rows] == [
        (1, 2, True),
        (3, 1, False),
    ]
    assert rows[0]["default_rate_hz"] == 48000
    assert rows[0]["host_api"] == "ALSA"
    assert (rows[0]["card"]["id"], rows[0]["card"]["usb"]["serial"]) == ("Device", "A7")
    assert [row["lasting_name"] for row in rows] == ["usb:0d8c:0014", "Mono Mic: - (hw:2,0)"]
    assert rows[1]["card"] is None


def test_without_devices_stdout_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_device, "input_devices", list)

    result = CliRunner().invoke(app, ["devices"])

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no sound device" in result.stderr


def test_real_cards_are_listed(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    for card in (1, 10):
        cards.add_file(card, np.zeros((2, 4800), np.float32))

    result = subprocess.run(
        [sys.executable, "-m", "edge_asd", "devices", "--json"],
        env=os.environ | cards.environment | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["name"] for row in rows if row["usable"]} >= {"hw:1,0", "hw:10,0"}
