"""A disk that hangs: the real command, whose writes wait at the calls that all of them make."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.listening import ENVIRONMENT, TIMEOUT_S, of, read_until
from device.mini_bundle import machine_day
from device.waiting import wait_until

_PROGRAM = """
import os, sys, time
from edge_asd.cli import main

hangs = sys.argv.pop(1)

def hanging(call):
    def wait_for_the_disk(*args, **options):
        while os.path.exists(hangs):
            time.sleep(0.05)
        return call(*args, **options)
    return wait_for_the_disk

for name in ("fsync", "fdatasync", "rename", "replace", "unlink"):
    setattr(os, name, hanging(getattr(os, name)))
main()
"""


def health(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    connection.request("GET", "/health")
    content: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return content


def heard(systemd: socket.socket) -> str:
    """What was told to systemd since the last time."""
    said = []
    with suppress(BlockingIOError):
        while True:
            said.append(systemd.recv(4096, socket.MSG_DONTWAIT).decode())
    return "\n".join(said)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_a_disk_that_hangs_delays_no_alarm_is_a_fault_and_keeps_no_monitor_from_ending(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards, hangs, port = FakeCards(tmp_path / "cards"), tmp_path / "hangs", free_port()
    profile = tmp_path / "site.toml"
    profile.write_text(f"[sinks.http]\nport = {port}\n")
    sound = machine_day({"normal": 4, "fault": 4, "normal again": 20}, rate_hz=CARD_RATE_HZ)
    args = ["listen", "--bundle", str(mini_bundle), "--device", "hw:1", "--profile", str(profile)]
    environment = ENVIRONMENT | cards.environment | {"XDG_STATE_HOME": str(tmp_path / "state")}
    environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    with (
        systemd,
        cards.add_fifo(1, sound),
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(hangs), *args],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        read_until(process.stdout, "score")
        hangs.touch()
        begin_s = time.monotonic()
        heard(systemd)  # what came before

        events = read_until(process.stdout, "alarm_raised")
        told = wait_until(lambda: [f for f in health(port)["faults"] if f["fault"] == "disk:state"])
        noticed_s = time.monotonic() - begin_s
        events += read_until(process.stdout, "alarm_cleared")
        pings = heard(systemd).count("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        stopping_s = time.monotonic()
        events += read_until(process.stdout, "stopped")
        assert process.wait(TIMEOUT_S) == 0
        ended_s = time.monotonic() - stopping_s

    assert pings >= 3  # one a second
    assert "the disk hangs" in told[0]["detail"]
    assert noticed_s < 10.0 + 5.0  # the second term: on a computer that does much else
    assert ended_s < 10.0 + 5.0
    scores = of(events, "score")
    assert {b["stream_time_s"] - a["stream_time_s"] for a, b in pairwise(scores)} == {0.5}
    assert of(events, "stopped")[0]["gaps"] == 0
