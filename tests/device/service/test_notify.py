"""What systemd hears, through a real socket."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from device.fake_card import RATE_HZ, FakeCards, require_portaudio
from device.listening import start
from device.mini_bundle import machine_sound
from device.reports import SILENT, a_status

from edge_asd.events.moment import Moment
from edge_asd.events.status import StatusBoard
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import ScoredWindow
from edge_asd.service.notify import ServiceNotifier

AUDIO = np.zeros((2, 100), np.float32)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
AT = Moment(NOW, 0.0, "pump-3")
TIMEOUT_S = 180
NOW_S = 100.0  # when a made status was renewed


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
        self.board = StatusBoard(a_status(machine="pump-3", updated_s=0.0, score_at_s=0.0))

    def notifier(self, *, starts_in_vain: int = 0, **changes: str) -> ServiceNotifier:
        return ServiceNotifier(
            self.environment | changes,
            self.board,
            starts_in_vain=starts_in_vain,
            clock=lambda: self.now_s,
        )

    def pings_in(self, notifier: ServiceNotifier, seconds: int, *, scores: bool) -> int:
        """Pings while the monitor turns once a second, with or without scores."""
        pings = 0
        for _ in range(seconds):
            notifier.on_block(AT, AUDIO)
            if scores:
                notifier.on_window(AT, window(), "normal")
            notifier.on_tick(AT)
            pings += self.heard().count("WATCHDOG=1")
            self.now_s += 1
        return pings

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


def test_it_is_ready_when_the_monitor_begins_also_without_a_sound_card(manager: Manager) -> None:
    manager.board.status = a_status(machine="pump-3", capture="lost", faults=(SILENT,))
    with closing(manager.notifier()) as notifier:
        notifier.on_tick(AT)

        assert manager.heard() == [
            "READY=1",
            "STATUS=pump-3: unknown; both channels are digital silence",
        ]


def test_readiness_is_said_once(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        for _ in range(3):
            notifier.on_tick(AT)

        assert manager.heard().count("READY=1") == 1


def test_there_is_no_ping_when_only_audio_advances(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        assert manager.pings_in(notifier, 2 * TIMEOUT_S, scores=False) == 0


def test_there_is_no_ping_when_only_scores_advance(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        for _ in range(10):
            manager.now_s += TIMEOUT_S
            notifier.on_block(AT, AUDIO[:, :0])
            notifier.on_window(AT, window(), "normal")
            notifier.on_tick(AT)

        assert "WATCHDOG=1" not in manager.heard()


def test_it_pings_three_times_per_timeout_while_both_advance(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        assert manager.pings_in(notifier, 3 * TIMEOUT_S, scores=True) == 9


def test_each_ping_needs_new_audio_and_new_scores(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        assert manager.pings_in(notifier, 1, scores=True) == 1
        assert manager.pings_in(notifier, TIMEOUT_S, scores=False) == 0


def test_a_monitor_whose_windows_are_rare_is_not_ended_between_them(manager: Manager) -> None:
    manager.board.status = replace(manager.board.status, hop_s=1000.0)
    with closing(manager.notifier()) as notifier:
        manager.pings_in(notifier, 1, scores=True)

        assert manager.pings_in(notifier, 1000, scores=False) in (16, 17)
        assert manager.pings_in(notifier, 1000, scores=False) == 0


@pytest.mark.parametrize(("starts_in_vain", "minutes"), [(0, 0), (1, 3), (2, 9), (4, 45), (99, 45)])
def test_a_microphone_that_stays_dead_starts_it_less_and_less_often(
    manager: Manager, starts_in_vain: int, minutes: int
) -> None:
    with closing(manager.notifier(starts_in_vain=starts_in_vain)) as notifier:
        assert manager.pings_in(notifier, 3600, scores=False) == minutes


def test_a_monitor_that_hears_again_is_watched_as_ever(manager: Manager) -> None:
    with closing(manager.notifier(starts_in_vain=4)) as notifier:
        manager.pings_in(notifier, TIMEOUT_S, scores=True)

        assert manager.pings_in(notifier, 10 * TIMEOUT_S, scores=False) <= 1


@pytest.mark.parametrize("changes", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}])
def test_there_is_no_ping_that_nobody_asked_for(manager: Manager, changes: dict[str, str]) -> None:
    with closing(manager.notifier(starts_in_vain=2, **changes)) as notifier:
        assert manager.pings_in(notifier, TIMEOUT_S, scores=True) == 0


def test_the_status_follows_the_monitor_and_is_said_once_per_change(manager: Manager) -> None:
    hearing = manager.board.status
    with closing(manager.notifier(WATCHDOG_USEC="0")) as notifier:
        for status in (
            replace(hearing, score_at_s=None),
            hearing,
            hearing,
            replace(hearing, alarm_state="alarm"),
            replace(hearing, faults=(SILENT,)),
        ):
            manager.board.status = status
            notifier.on_tick(AT)

        assert [line for line in manager.heard() if line.startswith("STATUS=")] == [
            "STATUS=pump-3: unknown",
            "STATUS=pump-3: normal",
            "STATUS=pump-3: alarm",
            "STATUS=pump-3: unknown; both channels are digital silence",
        ]


def test_the_status_is_no_longer_normal_when_the_monitor_hangs(manager: Manager) -> None:
    with closing(manager.notifier()) as notifier:
        notifier.on_tick(AT)
        manager.heard()
        manager.now_s = 60.0
        manager.socket.settimeout(60)

        assert manager.socket.recv(4096) == b"STATUS=pump-3: unknown"


def test_a_line_break_in_a_name_adds_no_message(manager: Manager) -> None:
    manager.board.status = replace(manager.board.status, machine="pump\nMAINPID=1")
    with closing(manager.notifier()) as notifier:
        notifier.on_tick(AT)

        assert manager.heard() == ["READY=1", "STATUS=pump MAINPID=1: normal"]


def test_the_end_is_announced(manager: Manager) -> None:
    notifier = manager.notifier()
    notifier.on_tick(AT)
    manager.heard()

    notifier.close()

    assert manager.heard() == ["STOPPING=1", "STATUS=stopping"]


def test_what_was_not_heard_is_said_again_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(tmp_path / "notify")
    board = StatusBoard(a_status())
    notifier = ServiceNotifier({"NOTIFY_SOCKET": address}, board, clock=lambda: NOW_S)
    with caplog.at_level(logging.WARNING):
        notifier.on_tick(AT)
        notifier.on_tick(AT)
    manager = Manager(address)
    with closing(manager.socket), closing(notifier):
        notifier.on_tick(AT)

        assert manager.heard() == ["READY=1", "STATUS=pump: normal"]
    assert [record.message for record in caplog.records] == [
        "cannot reach the service manager: No such file or directory"
    ]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_service_manager_nothing_happens(address: str) -> None:
    board = StatusBoard(a_status())
    with closing(ServiceNotifier({"NOTIFY_SOCKET": address}, board)) as notifier:
        notifier.on_tick(AT)


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
    said = [line.partition(";")[0] for line in lines if line.startswith("STATUS=pump")]
    assert (said[0], said[-1]) == ("STATUS=pump: unknown", "STATUS=pump: normal")
    assert listen.returncode == 0
