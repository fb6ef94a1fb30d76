"""``edge-asd alarms``, ``ack`` and ``shelve`` against a running monitor."""

from __future__ import annotations

import errno
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_asd.alarm.life_cycle import Alarm, AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.alarm.store import AlarmStore
from edge_asd.cli import app
from edge_asd.control import monitors
from edge_asd.control.control_socket import ControlServer
from edge_asd.control.monitors import control_socket, find_monitors
from edge_asd.control.requests import serve
from edge_asd.errors import ControlError
from edge_asd.events.event import Event, compact_utc, utc_text
from edge_asd.monitor.status import FaultStatus, Status
from edge_asd.monitor.watcher import Moment
from edge_asd.state.folder import StateFolder

POLICY = AlarmPolicy(2.0, 1.0, min_duration_s=0.0, holdoff_s=0.0)
UNPLUGGED = FaultStatus(
    "capture_lost", "deaf", "hw:1 is gone; plug it in again", "2026-11-22T08:30:00.000Z"
)


class LiveMonitor:
    """What a running monitor has of an alarm; answers requests until it is closed."""

    def __init__(self, root: Path, machine: str) -> None:
        self.start = datetime.now(UTC)
        self.events: list[Event] = []
        self.status: dict[str, Any] = {"capture": "healthy", "score": 0.5, "threshold": 2.0}
        self._machine = machine
        self._folder = StateFolder(root, machine)
        self._folder.lock()
        self._server = ControlServer(self._folder.control_socket)
        self.alarm = Alarm(POLICY, lambda s: f"{machine}-{compact_utc(self._utc(s))}")
        self._reporter = AlarmReporter(
            self.alarm,
            AlarmStore(self._folder.alarm_file, self._utc),
            utc=self._utc,
            report=lambda change: None,
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._server.close()
        self._folder.unlock()

    def _run(self) -> None:
        while not self._done.wait(0.005):
            while (request := self._server.poll()) is not None:
                self.events += serve(request, self._reporter, self._now(), self._status, self._now)

    def _now(self) -> Any:
        time_s = (datetime.now(UTC) - self.start).total_seconds()
        return Moment(self._utc(time_s), time_s, self._machine)

    def _utc(self, time_s: float) -> datetime:
        return self.start + timedelta(seconds=time_s)

    def _status(self) -> Status:
        return Status(
            machine=self._machine,
            bundle="bundle",
            source="hw:1,0",
            started=self.start,
            updated_s=0.0,
            state=self.alarm.state,
            alarm_id=self.alarm.alarm_id,
            shelved_until=self._reporter.shelved_until,
            **self.status,
        )


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual places are below `tmp_path`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    for function in (find_monitors, control_socket):
        defaults = {"service_root": tmp_path / "service"}
        monkeypatch.setattr(function, "__kwdefaults__", defaults)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "edge-asd"


@pytest.fixture
def live(root: Path) -> Iterator[Callable[..., LiveMonitor]]:
    with ExitStack() as stack:
        yield lambda machine="pump", at=root: stack.enter_context(closing(LiveMonitor(at, machine)))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def keep_alarm(folder: Path, alarm_id: str, **cleared: Any) -> None:
    event = folder / "events" / alarm_id
    event.mkdir(parents=True)
    alarm = {
        "alarm_id": alarm_id,
        "machine": "pump",
        "above_since_s": 5.0,
        "time": "2026-11-22T08:30:05.000Z",
        "score": 3.25,
        "threshold": 2.0,
        "explanation": {"text": "the near channel is louder at 900 to 1200 Hz"},
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
    assert result.stderr == ("error: no alarm is on, the state is normal: nothing to acknowledge\n")


@pytest.mark.parametrize("command", [["ack"], ["shelve", "--off"], ["shelve", "--for", "2h"]])
def test_without_a_monitor_commands_say_where_they_looked(
    command: list[str], root: Path, tmp_path: Path
) -> None:
    result = run(*command)

    assert result.exit_code == 1
    assert f"no monitor runs with its state in {root} or {tmp_path / 'service'}" in result.stderr
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
    live: Callable[..., LiveMonitor], tmp_path: Path
) -> None:
    monitor = live(at=tmp_path / "service")
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
    assert [event.event for event in monitor.events] == ["alarm_shelved", "alarm_unshelved"]


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
        (["--until", "tomorrow"], "write it like 2026-11-23T06:00Z"),
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


def test_alarms_shows_the_state_and_since_when(live: Callable[..., LiveMonitor]) -> None:
    monitor = live()
    monitor.status |= {"score": 3.456}
    monitor.alarm.update(0, 3.456)

    result = run("alarms")

    row = next(line for line in result.stdout.splitlines() if "pump" in line)
    since = f"{monitor.start:%Y-%m-%d %H:%M:%SZ}"
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        *("pump", "alarm", since, "3.456", "2.000", "", "hears")
    ]


def test_alarms_shows_until_when_alarms_are_shelved(live: Callable[..., LiveMonitor]) -> None:
    live()
    run("shelve", "--until", f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT06:00Z}")

    row = next(line for line in run("alarms").stdout.splitlines() if "pump" in line)

    assert "shelved" in row
    assert " 06:00:00Z" in row


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

    lines = run("alarms").stdout.splitlines()

    row = next(line for line in lines if "pump" in line)
    assert row.split("│")[2].strip() == shown
    assert "DEAF (lost)" in row
    assert any("capture_lost" in line and "plug it in again" in line for line in lines)


def test_an_impaired_monitor_is_said_to_be_so(live: Callable[..., LiveMonitor]) -> None:
    monitor = live()
    monitor.status |= {"faults": (FaultStatus("disk", "impaired", "full", ""),)}

    row = next(line for line in run("alarms").stdout.splitlines() if "pump" in line)

    assert "normal" in row
    assert "impaired" in row


def test_a_monitor_that_does_not_run_is_said_not_to_run(root: Path) -> None:
    LiveMonitor(root, "pump").close()

    result = run("alarms")

    row = next(line for line in result.stdout.splitlines() if "pump" in line)
    assert result.exit_code == 0
    assert "unknown" in row
    assert "not running" in row


def test_a_monitor_that_was_killed_is_said_not_to_run(
    live: Callable[..., LiveMonitor], root: Path
) -> None:
    live("pump")
    LiveMonitor(root, "fan").close()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(root / "fan" / "control.sock"))

    rows = [line for line in run("alarms").stdout.splitlines() if "│" in line]

    assert "not running" in rows[0]
    assert "hears" in rows[1]


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

    assert f"last alarms of pump, in {root / 'pump' / 'events'}:" in lines
    rows = [line.split("│") for line in lines if "pump-2026" in line]
    assert [row[1].strip() for row in rows] == [f"pump-{stamp}" for stamp in stamps[:1:-1]]
    assert [cell.strip() for cell in rows[0][2:6]] == [
        *("2026-11-22 08:30:05Z", "2026-11-22 09:00:00Z", "7.500", "2.000")
    ]
    assert "louder at 900 to 1200 Hz" in " ".join(lines)


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

    result = run("alarms")

    listed = [line.split("│")[1].strip() for line in result.stdout.splitlines() if "pump-" in line]
    assert listed == ["pump-20261122T083005000Z"]


@pytest.mark.parametrize(
    ("notes", "ended"),
    [
        ([], "no"),
        (["alarm_acknowledged"], "no, acknowledged"),
        (["alarm_acknowledged", "alarm_shelved"], "2026-11-22 09:15:00Z, shelved"),
        (["rubbish"], "no"),
    ],
)
def test_the_list_says_how_an_alarm_ended(root: Path, notes: list[str], ended: str) -> None:
    LiveMonitor(root, "pump").close()
    keep_alarm(root / "pump", "pump-20261122T083005000Z")
    record = root / "pump" / "events" / "pump-20261122T083005000Z" / "event.json"
    told = [{"event": note, "time": "2026-11-22T09:15:00.000Z"} for note in notes]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"notes": told}))

    row = next(line for line in run("alarms").stdout.splitlines() if "pump-2026" in line)

    assert row.split("│")[3].strip() == ended


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
        row = next(line for line in run("alarms").stdout.splitlines() if "pump" in line)

    assert "unknown" in row
    assert "is busy" in row


def test_the_state_of_another_user_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_to_this_user(tmp_path / "service", monkeypatch)

    result = run("ack")

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {tmp_path / 'service'} belongs to another user; ask as that user, or as root\n"
    )


def test_the_state_of_another_user_does_not_hide_the_own_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LiveMonitor(root, "pump").close()
    close_to_this_user(tmp_path / "service", monkeypatch)

    assert "pump" in run("alarms").stdout


def close_to_this_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder unreadable, also for root, who runs some of the tests."""
    iterdir = Path.iterdir

    def closed(path: Path) -> Iterator[Path]:
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", closed)
