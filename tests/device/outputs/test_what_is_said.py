"""What all outputs say of a machine while its monitor hears, and while it does not."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from device.live_monitor import LiveMonitor
from device.made_events import SCORE, STARTED
from device.mosquitto import Broker, Listener, needs_mosquitto
from device.mqtt_transports import a_transport
from device.reports import SILENT, a_status
from rich.console import Console
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd.events.event import FaultRaisedEvent
from edge_asd.events.moment import Moment
from edge_asd.events.status import FaultStatus, Status, StatusBoard
from edge_asd.monitor.meter import Meter
from edge_asd.outputs.home_assistant import discovery
from edge_asd.outputs.http_endpoint import HttpEndpoint, HttpSettings
from edge_asd.outputs.metrics import Metrics
from edge_asd.service.notify import ServiceNotifier
from edge_asd.service.report import ServicePage, service_lines
from edge_asd.service.systemd import UnitState

NOW_S = 100.0
NOW = Moment(SCORE.time, 0.0, "pump")
CANNOT_START = FaultRaisedEvent(
    **NOW.facts(), fault="start", severity="deaf", meaning="", detail="no bundle", figures={}
)
Say = Callable[[Status, Path], str]

DEAF = {
    "before the first window": a_status(score_at_s=None),
    "before the first sound": a_status(capture="starting", score_at_s=None, audio_at_s=None),
    "without a card from the start": a_status(
        capture="lost", faults=(FaultStatus("capture_missing", "deaf", "plug it in", ""),),
        score_at_s=None, audio_at_s=None,
    ),
    "the card was unplugged": a_status(capture="lost"),
    "the card came back a moment ago": a_status(capture="recovering"),
    "the driver hangs": a_status(capture="hung"),
    "digital silence": a_status(faults=(SILENT,)),
    "sound comes, but no scores": a_status(window_s=10.0, hop_s=2.5, score_at_s=NOW_S - 28),
    "the monitor hangs": a_status(updated_s=NOW_S - 31, score_at_s=NOW_S - 1),
    "after a hold-off": a_status(capture="lost", alarm_state="cleared"),
    "in doubt": a_status(capture="lost", alarm_state="warning"),
    "while it commissions": a_status(
        capture="lost", alarm_state="commissioning", commissioning_left_s=60.0
    ),
    "it cannot start": Status.of_failed_start(CANNOT_START),
}  # fmt: skip


def health(status: Status, tmp_path: Path) -> str:
    """The state of ``/health``, whose code is that of a monitor which is not well."""
    endpoint = HttpEndpoint(
        HttpSettings(port=0, host="127.0.0.1"), lambda: status, clock=lambda: NOW_S
    )
    with closing(endpoint):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/health").close()
        except urllib.error.HTTPError as answer:
            with answer:
                return str(json.load(answer)["state"])
    return "healthy"


def metrics(status: Status, tmp_path: Path) -> str:
    page, _ = Metrics(lambda: status, clock=lambda: NOW_S).page()
    (state,) = [
        line.partition('state="')[2].partition('"')[0]
        for line in page.decode().splitlines()
        if line.startswith("edge_asd_alarm_state{") and line.endswith(" 1.0")
    ]
    assert "edge_asd_alarm_active{" not in page.decode()
    return state


def home_assistant(status: Status, tmp_path: Path) -> str:
    """The entities "Alarm state" and "Alarm"; ``None`` is Home Assistant's word for unknown."""
    jinja2 = pytest.importorskip("jinja2", reason="needs Jinja: pip install 'edge-asd[export]'")
    announced = {
        topic.split("/")[3]: json.loads(payload)["value_template"]
        for topic, payload in discovery("homeassistant", "edge-asd/pump", "pump", "pump").items()
    }
    known = status.to_dict(NOW_S)
    said = {jinja2.Template(announced[key]).render(value_json=known) for key in ("state", "alarm")}
    return " ".join("unknown" if word == "None" else word for word in said)


def systemd(status: Status, tmp_path: Path) -> str:
    address = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(address)
        board = StatusBoard(status)
        notifier = ServiceNotifier({"NOTIFY_SOCKET": address}, board, clock=lambda: NOW_S)
        with closing(notifier):
            notifier.on_tick(NOW)
        line = manager.recv(4096).decode().splitlines()[1]
    Path(address).unlink()
    return line.removeprefix("STATUS=pump: ").partition(";")[0]


def service_status(status: Status, tmp_path: Path) -> str:
    unit = UnitState(instance="pump", installed=True, enabled=True, active="active")
    return service_lines(ServicePage(unit, status.to_dict(NOW_S), ""))["alarm"]


def live_view(status: Status, tmp_path: Path) -> str:
    """Whether the view of a run that has scores says something of the machine."""
    console = Console(
        file=StringIO(), force_terminal=True, width=160, color_system=None,
        _environ={"TERM": "xterm"},
    )  # fmt: skip
    with closing(Meter(console, StatusBoard(status), now_s=lambda: NOW_S)) as meter:
        meter.on_event(STARTED)
        meter.on_event(SCORE)
    assert isinstance(console.file, StringIO)
    last = [line for line in console.file.getvalue().splitlines() if "  lag " in line][-1]
    return "unknown" if " unknown " in last or "DEAF: " in last else last


@pytest.mark.parametrize(
    "say", [health, metrics, home_assistant, systemd, service_status, live_view]
)
@pytest.mark.parametrize("condition", DEAF)
def test_of_a_machine_that_is_not_heard_every_output_says_unknown(
    condition: str, say: Say, tmp_path: Path
) -> None:
    assert say(DEAF[condition], tmp_path) == "unknown"


@needs_mosquitto
@pytest.mark.parametrize("condition", ["before the first window", "the monitor hangs"])
def test_the_state_over_mqtt_is_unknown_too(
    condition: str, broker: Broker, listener: Listener
) -> None:
    with closing(a_transport(broker.port, status=lambda: DEAF[condition], clock=lambda: NOW_S)):
        assert json.loads(listener.last("/state"))["state"] == "unknown"


@pytest.mark.parametrize("alarm_state", ["alarm", "acknowledged", "shelved"])
def test_what_people_and_alarms_said_stays_true_while_nothing_is_heard(alarm_state: str) -> None:
    assert a_status(capture="lost", alarm_state=alarm_state).state(NOW_S) == alarm_state


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("before the first window", "no score yet"),
        ("the card was unplugged", "lost"),
        ("digital silence", "signal_silent"),
        ("sound comes, but no scores", "no scores"),
        ("the monitor hangs", "it hangs"),
    ],
)
def test_a_deaf_monitor_says_why(condition: str, why: str) -> None:
    assert DEAF[condition].to_dict(NOW_S)["why_deaf"] == why


def test_a_hop_of_minutes_is_not_taken_for_silence() -> None:
    slow = a_status(window_s=10.0, hop_s=300.0, score_at_s=NOW_S - 600)

    assert slow.state(NOW_S) == "normal"


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveMonitor]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with closing(LiveMonitor(tmp_path / "edge-asd", "pump")) as monitor:
        yield monitor


def test_alarms_asks_for_the_same_state(live: LiveMonitor) -> None:
    live.status |= {"score_at_s": None}

    answer: Any = CliRunner().invoke(app, ["alarms", "--json", "--machine", "pump"]).stdout
    shown = CliRunner().invoke(app, ["alarms", "--machine", "pump"]).stdout.splitlines()[2]

    assert json.loads(answer)["status"]["state"] == "unknown"
    assert "unknown" in shown
    assert "DEAF (no score yet)" in shown
