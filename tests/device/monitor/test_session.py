"""What a monitor that cannot listen leaves behind: a message, an exit code, and no doubles."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from device.fake_card import FakeCards, require_portaudio
from device.listening import of, parse, run, run_in_process, write
from device.mini_bundle import machine_sound

from edge_asd.bundle.bundle import Bundle


def test_a_card_that_stays_away_is_told_by_outputs_that_were_open_already(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    cards.add_file(2, np.zeros((2, 4800), np.float32))
    log = tmp_path / "events.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    profile = tmp_path / "site.toml"
    profile.write_text(f"[sinks.http]\nport = {port}\n[sinks.jsonl]\npath = '{log}'\n")
    args = ["--device", "hw:1", "--machine", "pump", "--profile", str(profile), "--wait", "0.5"]

    exit_code, _, stderr = run(mini_bundle, args, env=cards.environment)

    assert exit_code == 1
    assert "is away, and the wait of 0.5 s for it is over" in stderr.splitlines()[-1]
    (told,) = [e for e in of(parse(log.read_text()), "fault_raised") if e["fault"] == "start"]
    assert "is away, and the wait of 0.5 s for it is over" in told["detail"]


def test_an_output_that_cannot_be_opened_hides_no_other_error(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    cards.add_file(2, np.zeros((2, 4800), np.float32))
    profile = tmp_path / "site.toml"
    profile.write_text("[sinks.mqtt]\nhost = 'localhost'\npassword_env = 'NOT_SET'\n")
    args = ["--device", "hw:1", "--machine", "pump", "--profile", str(profile), "--wait", "0"]

    exit_code, _, stderr = run(mini_bundle, args, env=cards.environment)

    assert exit_code == 1
    assert "no sound device 'hw:1'" in stderr.splitlines()[-1]


def test_a_start_that_fails_at_a_file_of_the_system_is_told_too(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    bundle = tmp_path / "bundle"
    (bundle / "manifest.json").mkdir(parents=True)  # stands for a file that may not be read
    log = tmp_path / "events.jsonl"
    args = ["--device", "hw:1", "--machine", "pump", "--output", str(log)]

    exit_code, _, stderr = run(bundle, args, env=cards.environment)

    assert exit_code == 1
    assert "manifest.json cannot be read" in stderr.splitlines()[-1]
    (told,) = parse(log.read_text())
    assert (told["event"], told["fault"]) == ("fault_raised", "start")
    assert "manifest.json" in told["detail"]


@pytest.mark.parametrize("named", [True, False])
def test_a_bundle_is_opened_and_verified_once(
    tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    opened: list[Path] = []
    really_open = Bundle.open

    def counted(path: Path) -> Bundle:
        opened.append(path)
        return really_open(path)

    monkeypatch.setattr(Bundle, "open", counted)
    recording = write(tmp_path / "a.wav", machine_sound(3, seed=1))

    args = ["--input", recording, "--state", str(tmp_path / "state")]
    exit_code, events, _ = run_in_process(mini_bundle, *args, *["--machine", "pump"][: 2 * named])

    assert (exit_code, events[-1]["event"]) == (0, "stopped")
    assert opened == [mini_bundle]
