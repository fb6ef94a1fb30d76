"""What systemd hears, through a real socket."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.fake_card import RATE_HZ, FakeCards, require_portaudio
from device.listening import start
from device.mini_bundle import machine_sound

from edge_asd.events.event import FaultClearedEvent, FaultRaisedEvent, NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import ScoredWindow
from edge_asd.service.notify import ServiceNotifier

AUDIO = np.zeros((2, 100), np.float32)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
AT = Moment(NOW, 0.0, "pump-3")
TIMEOUT_S = 180


class Manager:
    """The service manager's end of the socket, and a clock that stands still."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.setblocking(False)
        self.environment = {
            "NOTIFY_SOCKET": address,
            "WATCHDOG_USEC": str(TIMEOUT_S * 1_000_000),
            "WATCHDOG_PID": str(os.getpid()),
        }
        self.now_s = 0.0

    def notifier(self, **changes: str) -> ServiceNotifier:
        return ServiceNotifier(self.environment | changes, clock=lambda: self.now_s)

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    manager = Manager(path if request.param == "path" else f"@edge-asd-{uuid.uuid4()}")
    with closing(manager.socket):
        yield manager


def window() -> ScoredWindow:
    return ScoredWindow(0, AUDIO, WindowScore(1.0, {}), 0.0)


def fault(kind: type, name: str = "capture_missing", **more: Any) -> Any:
    return kind(
        time=NOW, stream_time_s=0.0, machine="pump-3", fault=name, detail="", figures={}, **more
    )


def raised() -> Any:
    return fault(FaultRaisedEvent, severity="deaf", meaning="the sound card is not there")


def test_it_is_ready_when_the_monitor_begins_also_without_a_sound_card(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        notifier.on_event(raised())

        assert manager.heard() == [
            "READY=1",
            "STATUS=pump-3: starting; the sound card is not there",
        ]


def test_readiness_is_said_once(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        for _ in range(3):
            notifier.on_block(AT, AUDIO)

        assert manager.heard().count("READY=1") == 1


def test_there_is_no_ping_when_only_audio_advances(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        for _ in range(10):
            manager.now_s += TIMEOUT_S
            notifier.on_block(AT, AUDIO)

        assert "WATCHDOG=1" not in manager.heard()


def test_there_is_no_ping_when_only_scores_advance(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        for _ in range(10):
            manager.now_s += TIMEOUT_S
            notifier.on_block(AT, AUDIO[:, :0])
            notifier.on_window(AT, window(), "normal")

        assert "WATCHDOG=1" not in manager.heard()


def test_it_pings_three_times_per_timeout_while_both_advance(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        for _ in range(3 * TIMEOUT_S):
            notifier.on_block(AT, AUDIO)
            notifier.on_window(AT, window(), "normal")
            manager.now_s += 1

        assert manager.heard().count("WATCHDOG=1") == 9


def test_each_ping_needs_new_audio_and_new_scores(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        notifier.on_block(AT, AUDIO)
        notifier.on_window(AT, window(), "normal")
        manager.now_s += TIMEOUT_S
        notifier.on_block(AT, AUDIO)

        assert manager.heard().count("WATCHDOG=1") == 1


@pytest.mark.parametrize("changes", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}])
def test_there_is_no_ping_that_nobody_asked_for(manager: Manager, changes: dict[str, str]) -> None:
    with closing(manager.notifier(**changes)) as notifier:
        notifier.on_block(AT, AUDIO)
        notifier.on_window(AT, window(), "normal")

        assert manager.heard() == ["READY=1"]


def test_the_status_follows_alarm_and_faults_and_is_said_once_per_change(manager: Manager) -> None:
    with closing(manager.notifier(WATCHDOG_USEC="0")) as notifier:
        notifier.on_event(raised())
        for state in ("normal", "normal", "alarm"):
            notifier.on_window(AT, window(), state)
        notifier.on_event(fault(FaultClearedEvent, duration_s=1.0))

        assert [line for line in manager.heard() if line.startswith("STATUS=")] == [
            "STATUS=pump-3: starting; the sound card is not there",
            "STATUS=pump-3: normal; the sound card is not there",
            "STATUS=pump-3: alarm; the sound card is not there",
            "STATUS=pump-3: alarm",
        ]


def test_a_line_break_in_a_name_adds_no_message(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        notifier.on_event(
            NoticeEvent(
                time=NOW,
                stream_time_s=0.0,
                machine="pump\nMAINPID=1",
                notice="drift",
                text="",
                figures={},
            )
        )

        assert manager.heard() == ["READY=1", "STATUS=pump MAINPID=1: starting"]


def test_the_end_is_announced(manager: Manager) -> None:
    notifier = manager.notifier()
    notifier.on_block(AT, AUDIO)
    manager.heard()

    notifier.close()

    assert manager.heard() == ["STOPPING=1", "STATUS=stopping"]


def test_what_was_not_heard_is_said_again_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(tmp_path / "notify")
    notifier = ServiceNotifier({"NOTIFY_SOCKET": address})
    with caplog.at_level(logging.WARNING):
        notifier.on_event(raised())
        notifier.on_block(AT, AUDIO)
    manager = Manager(address)
    with closing(manager.socket), closing(notifier):
        notifier.on_block(AT, AUDIO)

        assert manager.heard() == [
            "READY=1",
            "STATUS=pump-3: starting; the sound card is not there",
        ]
    assert [record.message for record in caplog.records] == [
        "cannot reach the service manager: No such file or directory"
    ]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_service_manager_nothing_happens(address: str) -> None:
    with closing(ServiceNotifier({"NOTIFY_SOCKET": address})) as notifier:
        notifier.on_block(AT, AUDIO)
        notifier.on_window(AT, window(), "normal")


def test_listen_tells_systemd_all_of_it(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    manager = Manager(str(tmp_path / "notify"))
    manager.socket.settimeout(300)
    environment = {"NOTIFY_SOCKET": manager.environment["NOTIFY_SOCKET"], "WATCHDOG_USEC": "300000"}
    cards = FakeCards(tmp_path / "cards")
    sound = machine_sound(20.0, seed=1, rate_hz=RATE_HZ)

    with closing(manager.socket), cards.add_fifo(1, sound):
        listen = start(
            mini_bundle,
            ["--device", "hw:1", "--json", "--state", str(tmp_path / "state")],
            cards.environment | environment,
        )
        lines: list[str] = []
        try:
            while lines.count("WATCHDOG=1") < 2:
                lines += manager.socket.recv(4096).decode().splitlines()
            listen.terminate()
            while "STOPPING=1" not in lines:
                lines += manager.socket.recv(4096).decode().splitlines()
            listen.communicate(timeout=300)
        finally:
            listen.kill()
            listen.communicate()

    assert lines[0] == "READY=1"
    assert "STATUS=pump: normal" in lines
    assert listen.returncode == 0
