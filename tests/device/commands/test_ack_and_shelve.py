"""``edge-asd ack`` and ``shelve`` against a running monitor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from device.live_monitor import LiveMonitor
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.events.event import utc_text
from edge_asd.state.places import SERVICE_CONFIG, below


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_ack_acknowledges_the_alarm_that_is_on(live: Callable[..., LiveMonitor]) -> None:
    monitor = live()
    monitor.alarm.update(0, 3)

    result = run("ack", "--note", "bearing\nordered")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"acknowledged {monitor.alarm.alarm_id}\n"
    assert monitor.alarm.state == "acknowledged"
    assert [event.to_dict()["note"] for event in monitor.events] == ["bearing ordered"]


def test_ack_without_an_alarm_is_refused_by_the_monitor(live: Callable[..., LiveMonitor]) -> None:
    live()

    result = run("ack")

    assert result.exit_code == 1
    assert result.stderr == ("error: no alarm is on: nothing to acknowledge\n")


@pytest.mark.parametrize("command", [["ack"], ["shelve", "--off"], ["shelve", "--for", "2h"]])
def test_without_a_monitor_commands_say_where_they_looked(
    command: list[str], root: Path, service_root: Path
) -> None:
    result = run(*command)

    assert result.exit_code == 1
    assert f"no monitor runs with its state in {root} or {service_root}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_one_of_several_monitors_must_be_named(live: Callable[..., LiveMonitor]) -> None:
    live("pump")
    fan = live("fan 7")
    fan.alarm.update(0, 3)

    unnamed, named = run("ack"), run("ack", "--machine", "fan 7")

    assert unnamed.exit_code == 2
    assert "name one with --machine" in unnamed.stderr
    assert named.exit_code == 0
    assert fan.alarm.state == "acknowledged"


def test_a_monitor_that_does_not_run_is_not_confused_with_another(
    live: Callable[..., LiveMonitor],
) -> None:
    live("pump")

    result = run("ack", "--machine", "fan")

    assert result.exit_code == 1
    assert "no monitor of 'fan' runs" in result.stderr
    assert "; running: pump;" in result.stderr


def test_the_monitor_of_the_service_is_found(
    live: Callable[..., LiveMonitor], service_root: Path
) -> None:
    monitor = live(at=service_root)
    monitor.alarm.update(0, 3)

    assert run("ack").exit_code == 0
    assert monitor.alarm.state == "acknowledged"


def test_a_service_is_found_where_its_profile_says(
    live: Callable[..., LiveMonitor], tmp_path: Path
) -> None:
    profile = below(tmp_path, SERVICE_CONFIG / "pump.toml")
    profile.parent.mkdir(parents=True)
    profile.write_text('[site]\nstate_dir = "/mnt/ssd"\n', encoding="utf-8")
    monitor = live(at=tmp_path / "mnt" / "ssd")
    monitor.alarm.update(0, 3)

    assert run("ack").exit_code == 0
    assert monitor.alarm.state == "acknowledged"


def test_the_state_may_be_elsewhere(live: Callable[..., LiveMonitor], tmp_path: Path) -> None:
    live(at=tmp_path / "elsewhere")

    assert run("shelve", "--for", "1d").exit_code == 1
    assert run("shelve", "--for", "1d", "--state", str(tmp_path / "elsewhere")).exit_code == 0


def test_shelve_raises_no_alarm_for_a_while_and_off_ends_it(
    live: Callable[..., LiveMonitor],
) -> None:
    monitor = live()
    monitor.alarm.update(0, 3)
    alarm_id = monitor.alarm.alarm_id

    result = run("shelve", "--for", "2h", "--note", "cleaning")

    until = datetime.fromisoformat(result.stdout.split("until ")[1].split(";")[0])
    assert abs(until - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    assert result.stdout.endswith(f"; {alarm_id} is closed\n")
    assert monitor.alarm.state == "shelved"
    assert run("shelve", "--off").stdout == "alarms are raised again\n"
    assert [event.event for event in monitor.events] == [
        *("alarm_cleared", "alarm_shelved", "alarm_unshelved")
    ]


def test_shelve_takes_a_time_of_day(live: Callable[..., LiveMonitor]) -> None:
    live()
    wanted = (datetime.now(UTC) + timedelta(hours=5)).replace(second=0, microsecond=0)

    result = run("shelve", "--until", f"{wanted:%Y-%m-%dT%H:%MZ}")

    assert result.stdout == f"no alarm is raised until {utc_text(wanted)}\n"


@pytest.mark.parametrize("duration", ["90s", "30m", "2h", "1d", "30d", "1.5h"])
def test_durations_have_a_unit(live: Callable[..., LiveMonitor], duration: str) -> None:
    monitor = live()

    assert run("shelve", "--for", duration).exit_code == 0
    assert monitor.alarm.state == "shelved"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "give one of --for, --until and --off"),
        (["--for", "2h", "--off"], "give one of --for, --until and --off"),
        (["--for", "2"], "write it like 90s, 30m, 2h or 1d"),
        (["--for", "-2h"], "write it like 90s, 30m, 2h or 1d"),
        (["--for", "nan h"], "write it like 90s, 30m, 2h or 1d"),
        (["--for", "0s"], "is over already"),
        (["--for", "31d"], "at most 30d"),
        (["--for", "999999999d"], "at most 30d"),
        (["--until", "tomorrow"], "write it like 2026-11-22T08:30:00Z"),
        (["--until", "2020-01-01T00:00Z"], "is over already"),
        (["--until", "9999-12-31T23:59Z"], "at most 30d"),
    ],
)
def test_an_impossible_time_is_one_clear_line(options: list[str], complaint: str) -> None:
    result = run("shelve", *options)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_off_without_shelving_is_refused_by_the_monitor(live: Callable[..., LiveMonitor]) -> None:
    live()

    result = run("shelve", "--off")

    assert (result.exit_code, result.stderr) == (1, "error: alarms are not shelved\n")


@pytest.mark.usefixtures("service_of_another_user")
def test_the_state_of_another_user_is_one_clear_line(service_root: Path) -> None:
    result = run("ack")

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {service_root} belongs to another user; ask as that user, or as root\n"
    )
