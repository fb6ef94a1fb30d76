"""Learning on site beside a sound card: the real commands, real PortAudio, a card made of files."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.listening import ENVIRONMENT, TIMEOUT_S, read_until
from device.listening import start as listen
from device.mini_bundle import machine_sound
from device.site_sounds import whistle, write_alarm

from edge_asd.learn.store import LearnedStore
from edge_asd.state.folder import StateFolder

PROGRAM = (sys.executable, "-m", "edge_asd")


def start(bundle: Path, state: Path, cards: FakeCards, *args: str) -> subprocess.Popen[str]:
    command = [
        *(*PROGRAM, "enroll", "--device", "hw:1"),
        *("--machine", "pump-3", "--bundle", str(bundle), "--state", str(state), *args),
    ]
    return subprocess.Popen(
        command,
        env=ENVIRONMENT | cards.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("keep", [pytest.param(["--yes"], marks=pytest.mark.slow), []])
def test_a_machine_is_learned_from_a_card_until_ctrl_c(
    tmp_path: Path, mini_bundle: Path, keep: list[str]
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    seconds = 12.5 if keep else 2.0
    sound = machine_sound(seconds, seed=1, rate_hz=CARD_RATE_HZ)

    with cards.add_fifo(1, sound) as feeder:
        process = start(mini_bundle, tmp_path / "state", cards, "--minutes", "1", *keep)
        assert feeder.exhausted.wait(TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    store = LearnedStore(StateFolder(tmp_path / "state", "pump-3"))
    if keep:
        assert process.returncode == 0, stderr
        assert "of source sound" in stdout
        assert store.load() is not None
    else:
        assert process.returncode == 130, stderr
        assert stderr.splitlines()[-1] == "interrupted"
        assert store.versions == []


@pytest.mark.parametrize("then", [pytest.param([], marks=pytest.mark.slow), ["--then-listen"]])
def test_a_machine_is_commissioned_from_a_card(
    tmp_path: Path, mini_bundle: Path, then: list[str]
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = machine_sound(10, seed=1, rate_hz=CARD_RATE_HZ)

    with cards.add_fifo(1, sound, repeat=True):
        process = start(mini_bundle, tmp_path / "state", cards, "--watch", "21s", "--json", *then)
        events = read_until(process.stdout, "notice")
        while events[-1]["notice"] != "commissioned":
            events = read_until(process.stdout, "notice")
        if then:
            read_until(process.stdout, "score")
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0, stderr
    assert "false alarm" in events[-1]["text"]
    assert LearnedStore(StateFolder(tmp_path / "state", "pump-3")).current == "v0001"
    assert ("interrupted" if then else "commissioned") in stdout


def test_a_monitor_that_listens_takes_over_what_is_taught(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    state = StateFolder(tmp_path / "state", "pump")
    write_alarm(state, "pump-a", whistle(4, seed=4), since_s=1.0, until_s=4.0)
    normal = machine_sound(10, seed=1, rate_hz=CARD_RATE_HZ)

    with cards.add_fifo(1, normal, repeat=True):
        args = ["--device", "hw:1", "--json", "--state", str(state.path.parent)]
        monitor = listen(mini_bundle, args, cards.environment)
        read_until(monitor.stdout, "score")
        taught = subprocess.run(
            [*PROGRAM, "teach", "pump-a", "--bundle", str(mini_bundle), *args[3:]],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        notice = read_until(monitor.stdout, "notice")[-1]
        monitor.send_signal(signal.SIGINT)
        monitor.communicate(timeout=TIMEOUT_S)

    assert taught.returncode == 0, taught.stderr
    assert taught.stderr == "the running monitor uses it from now on\n"
    assert (notice["notice"], notice["figures"]) == ("learned", {"learned": "v0001"})


def test_a_missing_card_is_not_waited_for(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(2, machine_sound(1, seed=1, rate_hz=CARD_RATE_HZ))

    process = start(mini_bundle, tmp_path / "state", cards)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, stdout) == (1, "")
    assert "hw:1" in stderr.splitlines()[-1]
    assert "hw:2,0" in stderr.splitlines()[-1]
