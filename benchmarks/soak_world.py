"""What surrounds a monitor that is soaked: a broker, a listener, a disk that runs full."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

__all__ = ["Broker", "Subscriber", "full_disk", "resident_mib", "small_disk"]

_START_DEADLINE_S = 10.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Broker:
    """mosquitto on a free port; remembers what it promised to deliver while it is away."""

    def __init__(self, folder: Path) -> None:
        path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if path is None:
            raise SystemExit("no mosquitto on this computer: apt-get install mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\n"
            f"log_type none\nmax_queued_messages 0\nuser {_user()}\n",
            encoding="utf-8",
        )
        self._command = [path, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None
        self.outages = 0
        self.run(True)

    def run(self, wanted: bool) -> None:
        """Start or end it, unless that is so already."""
        if wanted and self._process is None:
            self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
            deadline_s = time.monotonic() + _START_DEADLINE_S
            while not self._answers():
                if time.monotonic() > deadline_s:
                    raise SystemExit("mosquitto does not start")
                time.sleep(0.05)
        elif not wanted and self._process is not None:
            self.outages += 1
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it."""
        self.run(False)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


class Subscriber:
    """Keeps the ids of all events that come through the broker, in order."""

    def __init__(self, port: int, topic: str) -> None:
        self.ids: list[str] = []
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="soak-listener", clean_session=False
        )
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=2)
        self._client.reconnect_delay_set(1, 2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def wait_for(self, event_id: str, deadline_s: float) -> list[str]:
        """Return all ids once this one has come, or when that takes too long."""
        end_s = time.monotonic() + deadline_s
        while event_id not in self.ids and time.monotonic() < end_s:
            time.sleep(0.1)
        return list(self.ids)

    def close(self) -> None:
        """Listen no more."""
        self._client.loop_stop()
        self._client.disconnect()

    def _on_message(self, client: Client, _: object, message: MQTTMessage) -> None:
        with suppress(ValueError, TypeError, KeyError):
            self.ids.append(json.loads(message.payload)["id"])


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path | None]:
    """Mount a disk of so much memory; None without the right to."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def full_disk(disk: Path, wanted: bool) -> None:
    """Take all space of a disk, or give it back."""
    filler = disk / "filler"
    if not wanted:
        filler.unlink(missing_ok=True)
    elif not filler.exists():
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                continue


def resident_mib() -> float:
    """Memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE_BYTES / 2**20


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
