"""A monitor whose profile sets ``state_dir`` is found by every command."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from device.fake_card import FakeCards, require_portaudio
from device.listening import TIMEOUT_S, read_until, start, write
from device.mini_bundle import MACHINE, machine_sound
from device.site_sounds import whistle, write_alarm
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.doctor import examination
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.monitors import monitors
from edge_asd.doctor.verdict import Verdict
from edge_asd.state.folder import StateFolder

Places = dict[str, list[str]]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, mini_bundle: Path) -> Iterator[Places]:
    """A real monitor that waits for its card; both ways to say where its state is."""
    require_portaudio()
    folder = tmp_path_factory.mktemp("device")
    profile = folder / "pump.toml"
    profile.write_text(f'[site]\nstate_dir = "{folder / "state"}"\n', encoding="utf-8")
    cards = FakeCards(folder / "cards")
    options = ["--device", "hw:1", "--profile", str(profile)]
    with start(mini_bundle, options, cards.environment) as process:
        read_until(process.stdout, "fault_raised")
        yield {"profile": ["--profile", str(profile)], "state": ["--state", str(folder / "state")]}
        process.send_signal(signal.SIGINT)
        read_until(process.stdout, "stopped")
        assert process.wait(TIMEOUT_S) == 0


@pytest.fixture(params=["profile", "state"])
def there(places: Places, request: pytest.FixtureRequest) -> list[str]:
    """Options that say where the state is, on a device whose usual places are empty."""
    return places[request.param]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_alarms_finds_it(there: list[str]) -> None:
    report = json.loads(run("alarms", "--json", *there).stdout)

    assert (report["machine"], report["running"]) == (MACHINE, True)


def test_ack_finds_it(there: list[str]) -> None:
    assert "no alarm is on" in run("ack", *there).stderr


def test_shelve_finds_it(there: list[str]) -> None:
    assert run("shelve", "--for", "2h", *there).exit_code == 0
    assert run("shelve", "--off", *there).stdout == "alarms are raised again\n"


def test_teach_and_forget_find_it(there: list[str], places: Places, mini_bundle: Path) -> None:
    state = StateFolder(Path(places["state"][1]), MACHINE)
    alarm = f"{MACHINE}-{there[0].strip('-')}"
    sound = whistle(4, seed=4, hz=1875.0 if there[0] == "--state" else 2625.0)
    write_alarm(state, alarm, sound, since_s=1.0, until_s=4.0)

    taught = run("teach", alarm, "--bundle", str(mini_bundle), *there)
    forgotten = run("forget", alarm, "--bundle", str(mini_bundle), *there)

    for result in (taught, forgotten):
        assert result.exit_code == 0, result.stderr
        assert "the running monitor uses it from now on" in result.stderr


def test_enroll_learns_for_it(there: list[str], mini_bundle: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "normal.wav", machine_sound(15, seed=1))
    options = ["--machine", MACHINE, "--input", recording, "--bundle", str(mini_bundle)]

    result = run("enroll", *options, *there)

    assert "the running monitor uses it from now on" in result.output, result.output


@pytest.mark.parametrize("named", [["--machine", MACHINE], []])
def test_service_status_finds_it(there: list[str], named: list[str]) -> None:
    page = json.loads(run("service", "status", "--json", *named, *there).stdout)

    assert page["monitor"]["machine"] == MACHINE


def test_doctor_finds_it(there: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def monitors_alone(installation: Installation) -> Iterator[tuple[str, Verdict]]:
        return (("monitors", verdict) for verdict in monitors(installation))

    monkeypatch.setattr(examination, "examine", monitors_alone)

    assert f"monitor {MACHINE}" in run("doctor", *there).stdout
