"""``edge-asd service status``: what systemd and the monitor say, on one page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.control.control_socket import ControlServer
from edge_asd.service import systemd
from edge_asd.service.plan import Setup
from edge_asd.service.report import ServicePage, service_lines
from edge_asd.state.folder import StateFolder
from edge_asd.state.places import SERVICE_STATE, below
from edge_asd.state.start_record import SavedStarts

SETUP = Setup(machine="pump", bundle=Path("/opt/bundles/pumps"), command=("/opt/bin/edge-asd",))


def edge_asd(*args: str) -> Result:
    return CliRunner().invoke(app, ["service", *args])


@pytest.fixture
def installed(tmp_path: Path, mini_bundle: Path) -> Path:
    """A root folder with the service of the machine ``pump``."""
    result = edge_asd("install", "--bundle", str(mini_bundle), "--root", str(tmp_path))
    assert result.exit_code == 0, result.output
    return tmp_path


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A system with a running systemd; the commands that it was given."""
    commands: list[str] = []
    shown = "ActiveState=active\nSubState=running\nNRestarts=0\nWatchdogUSec=3min\n"

    def run(*command: str) -> str:
        commands.append(" ".join(command))
        return shown if command[1] == "show" else ""

    monkeypatch.setattr(systemd, "running", lambda root: True)
    monkeypatch.setattr(systemd, "run", run)
    return commands


def test_status_without_a_service_says_how_to_get_one(tmp_path: Path) -> None:
    result = edge_asd("status", "--root", str(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "service install" in result.stderr


def test_show_of_systemd_is_read() -> None:
    shown = """ActiveState=activating
SubState=auto-restart
ActiveEnterTimestamp=
ExecMainStatus=75
NRestarts=12
Result=watchdog
StatusText=pump: normal; the sound card is not there
WatchdogUSec=3min
"""

    state = systemd.parse_show(shown, "pump", installed=True, enabled=True)

    assert (state.active, state.sub, state.since) == ("activating", "auto-restart", None)
    assert (state.exit_code, state.restarts, state.result) == (75, 12, "watchdog")
    assert not state.healthy


@pytest.mark.parametrize(("sub", "says"), [("auto-restart", None), ("running", "pump: normal")])
def test_what_a_process_said_that_is_no_more_is_not_repeated(sub: str, says: str | None) -> None:
    shown = f"ActiveState=activating\nSubState={sub}\nStatusText=pump: normal\n"

    state = systemd.parse_show(shown, "pump", installed=True, enabled=True)

    assert state.says == says


def test_a_running_enabled_service_is_healthy() -> None:
    state = systemd.parse_show("ActiveState=active", "pump", installed=True, enabled=True)

    assert state.healthy


@contextmanager
def monitor(root: Path, status: dict[str, Any]) -> Iterator[None]:
    """A monitor of ``pump`` that answers every request with its status."""
    folder = StateFolder(below(root, SERVICE_STATE), "pump")
    folder.make()
    ended = threading.Event()

    def answer(server: ControlServer) -> None:
        while not ended.wait(0.005):
            if request := server.poll():
                request.reply({"status": status})

    with closing(ControlServer(folder.control_socket)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


STATUS = {
    "healthy": True,
    "source": "hw:1,0",
    "capture": "healthy",
    "state": "normal",
    "score": 0.5,
    "threshold": 2.0,
    "windows": 7,
    "skipped_windows": 0,
    "faults": [],
}


def test_status_joins_systemd_and_monitor(installed: Path, booted: list[str]) -> None:
    with monitor(installed, STATUS):
        result = edge_asd("status", "--root", str(installed))

    assert result.exit_code == 0, result.output
    page = {" ".join(line.split()) for line in result.stdout.splitlines()}
    assert {
        "edge-asd@pump.service",
        "verdict healthy",
        "service installed, starts at boot, active (running)",
        "watchdog 3min, last ping never",
        "hears hw:1,0: healthy",
        "score 0.5, threshold 2",
    } <= page


def test_a_deaf_monitor_is_not_healthy_although_systemd_says_active(
    installed: Path, booted: list[str]
) -> None:
    deaf = STATUS | {"healthy": False, "faults": [{"fault": "capture_lost", "detail": "gone"}]}

    with monitor(installed, deaf):
        result = edge_asd("status", "--root", str(installed), "--json")

    assert result.exit_code == 1
    page = json.loads(result.stdout)
    assert (page["healthy"], page["systemd"]["active"]) == (False, "active")
    assert page["monitor"]["faults"][0]["fault"] == "capture_lost"


def test_a_service_whose_monitor_does_not_answer_is_not_healthy(
    installed: Path, booted: list[str]
) -> None:
    result = edge_asd("status", "--root", str(installed))

    assert result.exit_code == 1
    assert "no monitor runs" in result.stdout


def test_the_state_folder_of_the_profile_is_asked(installed: Path, booted: list[str]) -> None:
    profile = below(installed, SETUP.profile)
    profile.write_text('[site]\nstate_dir = "/mnt/ssd"\n', encoding="utf-8")

    result = edge_asd("status", "--root", str(installed), "--json")

    assert str(installed / "mnt/ssd/pump/control.sock") in json.loads(result.stdout)["trouble"]


RUNNING_AGAIN = """ActiveState=active
SubState=running
StateChangeTimestamp=Sat 2026-11-28 15:00:00 UTC
ActiveEnterTimestamp=Sat 2026-11-28 15:00:00 UTC
NRestarts=3
Result=success
ExecMainCode=0
ExecMainStatus=0
"""
KILLED = """ActiveState=activating
SubState=auto-restart
StateChangeTimestamp=Sat 2026-11-28 15:00:00 UTC
ActiveEnterTimestamp=Fri 2026-11-27 09:00:00 UTC
NRestarts=3
Result=watchdog
ExecMainCode=3
ExecMainStatus=6
"""
STOPPED = """ActiveState=inactive
SubState=dead
StateChangeTimestamp=Sat 2026-11-28 15:00:00 UTC
ActiveEnterTimestamp=Fri 2026-11-27 09:00:00 UTC
NRestarts=0
Result=success
"""


def page_of(shown: str, last_end: str = "") -> dict[str, str]:
    unit = systemd.parse_show(shown, "pump", installed=True, enabled=True)
    return service_lines(ServicePage(unit, None, "no monitor runs", last_end))


def test_a_service_that_was_restarted_by_its_watchdog_says_nothing_of_success() -> None:
    page = page_of(RUNNING_AGAIN, "it was killed, by its watchdog")

    assert (page["restarts"], page["last end"]) == (
        "3 by systemd",
        "it was killed, by its watchdog",
    )
    assert "success" not in str(page)


def test_a_service_that_was_killed_says_by_what() -> None:
    assert page_of(KILLED)["ended by"] == "watchdog, signal 6"


@pytest.mark.parametrize("shown", [RUNNING_AGAIN, KILLED, STOPPED])
def test_since_is_when_the_service_came_to_the_state_that_is_said(shown: str) -> None:
    assert page_of(shown)["service"].endswith(") since Sat 2026-11-28 15:00:00 UTC")


def test_the_page_says_why_the_run_before_ended(installed: Path, booted: list[str]) -> None:
    folder = StateFolder(below(installed, SERVICE_STATE), "pump")
    folder.make()
    saved = SavedStarts(running=True, stage="scoring", failures=2, error="RuntimeError: broken")
    saved.save(folder.start_file)

    with monitor(installed, STATUS):
        result = edge_asd("status", "--root", str(installed))

    assert "RuntimeError: broken (2 such ends in a row)" in result.stdout
