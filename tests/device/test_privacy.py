"""``listen`` without outputs talks to nobody, and writes nowhere but into its state folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from device.fake_card import RATE_HZ, FakeCards, require_portaudio
from device.listening import COMMAND, ENVIRONMENT, TIMEOUT_S, of, parse
from device.mini_bundle import machine_sound
from places import ROOT

SETTING = "ORT_DISABLE_TELEMETRY"
# The telemetry of ONNX Runtime 1.31 writes below ~/.cache at once, and asks for its vendor's
# host after nine seconds.
DURATIONS_S = [2.0, pytest.param(20.0, marks=pytest.mark.slow)]
WRITES = re.compile(
    r"\d+ +((mkdir|rename|unlink|rmdir|symlink|link|mknod|truncate|chmod|chown)\w*\("
    r"|open.*O_(WRONLY|RDWR|CREAT))"
)
CLEAN = {
    name: value
    for name, value in ENVIRONMENT.items()
    if name not in {"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", SETTING}
} | {"PYTHONDONTWRITEBYTECODE": "1"}


def can_trace() -> bool:
    command = ["strace", "-f", "-z", "-o", os.devnull, "true"]
    return bool(shutil.which("strace")) and subprocess.run(command, check=False).returncode == 0


@pytest.fixture(scope="module", params=DURATIONS_S)
def listened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mini_bundle: Path
) -> Path:
    """After listening to a card: its user's home, the state and, where possible, a trace."""
    require_portaudio()
    folder = tmp_path_factory.mktemp("listened")
    (folder / "home").mkdir()
    tracer = ["strace", "-f", "-z", "-o", str(folder / "trace"), "-e", "trace=%network,%file"]
    card = ["--device", "hw:1", "--duration-s", str(request.param)]
    cards = FakeCards(folder / "cards")
    with cards.add_fifo(1, machine_sound(request.param + 2, seed=1, rate_hz=RATE_HZ)):
        result = subprocess.run(
            [
                *(*(tracer if can_trace() else []), *COMMAND, *card),
                *("--bundle", str(mini_bundle), "--state", str(folder / "state")),
            ],
            env=CLEAN | cards.environment | {"HOME": str(folder / "home")},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            text=True,
        )
    assert result.returncode == 0, result.stderr
    assert of(parse(result.stdout), "score")
    return folder


def traced(folder: Path) -> list[str]:
    """System calls that succeeded."""
    if not (folder / "trace").exists():
        pytest.skip("no strace that works on this computer: apt-get install strace")
    return (folder / "trace").read_text(errors="replace").splitlines()


def test_nothing_is_left_in_the_home_of_the_user(listened: Path) -> None:
    assert list((listened / "home").rglob("*")) == []


def test_no_socket_of_a_network_is_opened(listened: Path) -> None:
    assert [call for call in traced(listened) if "AF_INET" in call] == []


def test_nothing_is_written_outside_the_state_folder(listened: Path) -> None:
    state = str(listened / "state")
    written = [call for call in traced(listened) if WRITES.match(call)]

    def is_allowed(call: str) -> bool:  # /dev: null, sound cards, shared memory
        return all(path.startswith((state, "/dev/")) for path in re.findall(r'"(.*?)"', call))

    assert any(state in call for call in written)
    assert [call for call in written if not is_allowed(call)] == []


@pytest.mark.parametrize("package", ["edge_asd", "edge_asd_export"])
def test_telemetry_is_off_before_any_module_imports_onnx_runtime(package: str) -> None:
    pytest.importorskip("torch" if package == "edge_asd_export" else "onnxruntime")
    code = (
        f"import {package}, os, sys; print(os.environ['{SETTING}'], 'onnxruntime' in sys.modules)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], env=CLEAN, capture_output=True, text=True, check=False
    )

    assert (result.stdout, result.stderr) == ("1 False\n", "")


def test_the_service_turns_telemetry_off() -> None:
    unit = (ROOT / "firmware_config/systemd/edge-asd@.service").read_text(encoding="utf-8")

    assert f"Environment={SETTING}=1" in unit.splitlines()
