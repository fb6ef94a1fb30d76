"""What ``edge-asd alarms`` says of monitors and their last alarms."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from device.live_monitor import LiveMonitor
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.control import monitors
from edge_asd.control.control_socket import ControlServer
from edge_asd.errors import ControlError
from edge_asd.events.status import FaultStatus
from edge_asd.state.start_record import SavedStarts

UNPLUGGED = FaultStatus(
    "capture_lost", "deaf", "hw:1 is gone; plug it in again", "2026-11-22T08:30:00.000Z"
)


UNWORDED = FaultStatus("output:webhook", "impaired", "x" * 150, "2026-11-22T08:30:00.000Z")
SINCE_ENROLMENT = {
    "since": "2026-11-22T18:09:18.656Z",
    "heard_hours": 1234.5,
    "windows": 1777680,
    "share_above": 0.001,
    "promised_share": 0.05,
    "alarms": 12,
    "promised_alarms_per_month": 1.0,
    "kept": False,
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def keep_alarm(
    folder: Path,
    alarm_id: str,
    why: str = "the near channel is louder at 900 to 1200 Hz",
    **cleared: Any,
) -> None:
    event = folder / "events" / alarm_id
    event.mkdir(parents=True)
    alarm = {
        "alarm_id": alarm_id,
        "machine": "pump",
        "above_since_s": 5.0,
        "time": "2026-11-22T08:30:05.000Z",
        "score": 3.25,
        "threshold": 2.0,
        "explanation": {"text": why},
    }
    clip: dict[str, Any] = {
        "file": None,
        "state": "recording",
        "sample_rate_hz": 16000,
        "seconds": None,
    }
    clip |= {"start": "2026-11-22T08:30:00.000Z", "start_stream_s": 0.0, "gaps": []}
    record: dict[str, Any] = {
        "alarm": alarm,
        "cleared": None,
        "notes": [],
        "picture": None,
        "clip": clip,
    }
    if cleared:
        record["cleared"] = {"stream_time_s": 9.0, **cleared}
    (event / "event.json").write_text(json.dumps(record))


def row_of(machine: str, *options: str) -> list[str]:
    """The cells of a machine that are not empty."""
    lines = run("alarms", *options).stdout.splitlines()
    return re.split(r" {2,}", next(line for line in lines if line.startswith(machine)).strip())


def test_alarms_shows_the_state_and_since_when(live: Callable[..., LiveMonitor]) -> None:
    monitor = live()
    monitor.status |= {"score": 3.456}
    monitor.alarm.update(0, 3.456)

    since = f"{monitor.start:%Y-%m-%d %H:%MZ}"
    assert row_of("pump") == ["pump", "alarm", since, "3.456", "2.000", "hears"]


def test_alarms_shows_until_when_alarms_are_shelved(live: Callable[..., LiveMonitor]) -> None:
    live()
    run("shelve", "--until", f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT06:00Z}")

    shown = run("alarms").stdout

    assert "shelved" in shown
    assert "until" in shown
    assert " 06:00Z" in shown


@pytest.mark.parametrize(
    ("state_of_alarm", "shown"), [("normal", "unknown"), ("alarm", "alarm"), ("shelved", "shelved")]
)
def test_a_deaf_monitor_is_never_said_to_be_normal(
    live: Callable[..., LiveMonitor], state_of_alarm: str, shown: str
) -> None:
    monitor = live()
    monitor.status |= {"capture": "lost", "faults": (UNPLUGGED,)}
    if state_of_alarm == "alarm":
        monitor.alarm.update(0, 3)
    if state_of_alarm == "shelved":
        monitor.alarm.shelve(0, 1000)

    row = row_of("pump")
    assert row[1] == shown
    assert "DEAF (lost)" in row
    text = " ".join(run("alarms").stdout.split())
    assert "capture_lost 2026-11-22 08:30Z hw:1 is gone; plug it in again" in text


def test_an_impaired_monitor_is_said_to_be_so(live: Callable[..., LiveMonitor]) -> None:
    monitor = live()
    monitor.status |= {"faults": (FaultStatus("disk", "impaired", "full", ""),)}

    row = row_of("pump")

    assert "normal" in row
    assert "impaired" in row


def test_a_monitor_that_does_not_run_is_said_not_to_run(root: Path) -> None:
    LiveMonitor(root, "pump").close()

    assert run("alarms").exit_code == 0
    assert row_of("pump") == ["pump", "unknown", "not running"]


def test_a_monitor_that_cannot_start_is_said_to_and_why(root: Path) -> None:
    monitor = LiveMonitor(root, "pump")
    monitor.close()
    SavedStarts(failures=3, error="profile site.toml: unknown key 'alarm.holdof_s'").save(
        monitor.folder.start_file
    )

    shown = " ".join(run("alarms").stdout.split())

    assert "pump: it does not run; its last run ended: profile site.toml: unknown key" in shown
    assert "(3 such ends in a row)" in shown


def test_a_monitor_that_was_killed_is_said_not_to_run(
    live: Callable[..., LiveMonitor], root: Path
) -> None:
    live("pump")
    LiveMonitor(root, "fan").close()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(root / "fan" / "control.sock"))

    assert "not running" in row_of("fan")
    assert "hears" in row_of("pump")


def test_folders_that_no_monitor_ever_used_are_left_out(
    live: Callable[..., LiveMonitor], root: Path
) -> None:
    live("pump")
    (root / "fan" / "learned").mkdir(parents=True)
    (root / "file").write_text("")

    assert "fan" not in run("alarms").stdout


def test_alarms_says_so_when_no_monitor_has_ever_run() -> None:
    result = run("alarms")

    assert result.exit_code == 1
    assert "no monitor has run yet" in result.stderr


def test_the_latest_alarms_are_listed_first_and_ten_at_most(root: Path) -> None:
    LiveMonitor(root, "pump").close()
    stamps = [f"202611{day:02d}T083005000Z" for day in range(1, 13)]
    for stamp in stamps:
        keep_alarm(root / "pump", f"pump-{stamp}", time="2026-11-22T09:00:00.000Z", max_score=7.5)

    lines = run("alarms").stdout.splitlines()

    assert "last alarms of pump, in" in " ".join(lines)
    assert str(root / "pump" / "events") in "".join(lines)
    listed = [line for line in lines if line.startswith("pump-2026")]
    scores = "score 7.500, threshold 2.000"
    assert listed == [f"pump-{stamp}  {scores}" for stamp in stamps[:1:-1]]
    below = [line.strip() for line in lines[lines.index(listed[0]) + 1 :][:2]]
    assert below == [
        "raised 2026-11-22 08:30Z, cleared 2026-11-22 09:00Z",
        "the near channel is louder at 900 to 1200 Hz",
    ]


def test_broken_records_of_alarms_are_left_out(root: Path) -> None:
    LiveMonitor(root, "pump").close()
    keep_alarm(root / "pump", "pump-20261122T083005000Z")
    (root / "pump" / "events" / "notes").mkdir()
    (root / "pump" / "events" / "pump-20261121T083005000Z").mkdir()
    rubbish = {"notes": [7]} | dict.fromkeys(("alarm", "cleared", "picture", "clip"))
    contents = ("{", "[]", " " * 2_000_000, '{"alarm": 7}', json.dumps(rubbish))
    for day, content in enumerate(contents, 16):
        folder = root / "pump" / "events" / f"pump-202611{day}T083005000Z"
        folder.mkdir()
        (folder / "event.json").write_text(content)

    lines = run("alarms").stdout.splitlines()

    listed = [line.split()[0] for line in lines if line.startswith("pump-")]
    assert listed == ["pump-20261122T083005000Z"]


@pytest.mark.parametrize(
    ("notes", "ended"),
    [
        ([], "not cleared"),
        (["alarm_acknowledged"], "not cleared, acknowledged"),
        (["alarm_acknowledged", "alarm_shelved"], "shelved 2026-11-22 09:15Z"),
        (["rubbish"], "not cleared"),
    ],
)
def test_the_list_says_how_an_alarm_ended(root: Path, notes: list[str], ended: str) -> None:
    LiveMonitor(root, "pump").close()
    keep_alarm(root / "pump", "pump-20261122T083005000Z")
    record = root / "pump" / "events" / "pump-20261122T083005000Z" / "event.json"
    told = [{"event": note, "time": "2026-11-22T09:15:00.000Z"} for note in notes]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"notes": told}))

    lines = [line.strip() for line in run("alarms").stdout.splitlines()]

    assert f"raised 2026-11-22 08:30Z, {ended}" in lines


@pytest.mark.parametrize("machine", ["cooling-pump-3-north", "cooling-pump-3-north-of-the-hall"])
@pytest.mark.parametrize("state_of_alarm", ["shelved", "acknowledged"])
def test_every_line_fits_a_terminal_of_80_columns(
    live: Callable[..., LiveMonitor],
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    state_of_alarm: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monitor = live(machine)
    monitor.status |= {"capture": "recovering", "faults": (UNPLUGGED, UNWORDED)}
    monitor.status |= {"score": 123.456, "condition": {"hour": 5.0, "day": 7.0}}
    monitor.status |= {"since_enrolment": SINCE_ENROLMENT}
    if state_of_alarm == "shelved":
        monitor.alarm.shelve(0, 1000)
    else:
        monitor.alarm.update(0, 3)
        monitor.alarm.acknowledge()
    live("pump")
    alarm_id = f"{machine}-20261122T083005000Z"
    keep_alarm(monitor.folder.path, alarm_id, time="2026-11-22T09:00:00.000Z", max_score=7.5)

    lines = run("alarms").stdout.splitlines()

    assert [line for line in lines if len(line) > 80] == []
    assert any(line.split(" ")[0] == alarm_id for line in lines)


def test_a_long_explanation_is_told_to_its_end(live: Callable[..., LiveMonitor]) -> None:
    why = "louder at 900 to 1200 Hz; " * 12 + "far hears the machine: turn it away"
    keep_alarm(live("pump").folder.path, "pump-20261122T083005000Z", why)

    assert why in " ".join(run("alarms").stdout.split())


def test_json_is_one_object_per_monitor(live: Callable[..., LiveMonitor], root: Path) -> None:
    live("pump")
    LiveMonitor(root, "fan").close()
    keep_alarm(root / "pump", "pump-20261122T083005000Z")

    fan, pump = [json.loads(line) for line in run("alarms", "--json").stdout.splitlines()]

    assert (fan["machine"], fan["running"], fan["status"]) == ("fan", False, {})
    assert (pump["machine"], pump["running"], pump["status"]["state"]) == ("pump", True, "normal")
    assert pump["alarms"][0]["alarm"]["score"] == 3.25
    assert pump["alarms"][0]["folder"] == str(root / "pump/events/pump-20261122T083005000Z")


def test_one_machine_can_be_asked_for(live: Callable[..., LiveMonitor]) -> None:
    live("pump")
    live("fan")

    assert "fan" not in run("alarms", "--machine", "pump").stdout
    assert "no monitor of 'mill' has run yet" in run("alarms", "--machine", "mill").stderr


def test_nothing_that_a_monitor_says_plays_tricks_with_the_terminal(
    live: Callable[..., LiveMonitor],
) -> None:
    monitor = live()
    tricks = FaultStatus("disk", "impaired", "\x1b]0;owned\a[red]\x9b2J", "")
    monitor.status |= {"faults": (tricks,)}

    shown = run("alarms").stdout

    assert "]0;owned[red]2J" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_a_busy_monitor_is_said_to_be_busy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LiveMonitor(root, "pump").close()

    def busy(*_arguments: object) -> dict[str, Any]:
        raise ControlError("the monitor is busy and did nothing; try again")

    monkeypatch.setattr(monitors, "ask", busy)
    with closing(ControlServer(root / "pump" / "control.sock")):
        shown = " ".join(run("alarms").stdout.split())

    assert "pump unknown" in shown
    assert "is busy" in shown


@pytest.mark.usefixtures("service_of_another_user")
def test_the_state_of_another_user_does_not_hide_the_own_one(root: Path) -> None:
    LiveMonitor(root, "pump").close()

    assert "pump" in run("alarms").stdout
