"""A real MQTT broker on a free loopback port, a wire to it that can be cut, and a listener."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from device.waiting import DEADLINE_S, wait_until
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MOSQUITTO = shutil.which("mosquitto", path=PATH)

needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None, reason="no mosquitto on this computer: apt-get install mosquitto"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto without persistence: what it knew is gone when it is killed."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._log = folder / f"mosquitto-{self.port}.log"
        access = (
            ()
            if any("password_file" in option for option in options)
            else ("allow_anonymous true",)
        )
        lines = (
            "per_listener_settings false",
            "persistence false",
            f"listener {self.port} 127.0.0.1",
            "user root",
            *access,
            *options,
        )
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        assert MOSQUITTO is not None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log
            )
        wait_until(self._answers, f"mosquitto listens; see {self._log}")

    def kill(self) -> None:
        """End it as a power cut does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it as its administrator does."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it without closing anything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(DEADLINE_S)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"mosquitto ended at once: {self._log.read_text()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


class Wire:
    """A connection to `target_port` through `port`, one client at a time, that fails on demand.

    Parameters
    ----------
    refuses_mqtt_5 : what clients of MQTT 5 get before the connection ends
    """

    def __init__(self, target_port: int, *, refuses_mqtt_5: bytes | None = None) -> None:
        self._target_port = target_port
        self._refuses_mqtt_5 = refuses_mqtt_5
        self.versions: list[int] = []  # protocol level of each connection
        self.n_connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._whole = True
        self._mute = False
        self._ends: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Drop the connection and let no other begin."""
        self._whole = False
        self._hang_up()

    def mend(self) -> None:
        self._mute = False
        self._whole = True

    def mute_broker(self) -> None:
        """Let nothing that the broker says arrive any more."""
        self._mute = True

    def close(self) -> None:
        with suppress(OSError):  # wakes accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(DEADLINE_S)
        self._hang_up()

    def _hang_up(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._whole:
                    self.n_connections += 1
                    self._join(client)
                else:
                    client.close()

    def _join(self, client: socket.socket) -> None:
        greeting = b""
        if self._refuses_mqtt_5 is not None:
            greeting = client.recv(4096)
            level = greeting[greeting.index(b"MQTT") + 4]  # MQTT 3.1.1, 3.1.2.2
            self.versions.append(level)
            if level == MQTTProtocolVersion.MQTTv5:
                client.sendall(self._refuses_mqtt_5)
                client.close()
                return
        try:
            broker = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            client.close()
            return
        broker.sendall(greeting)
        self._ends += [client, broker]
        for source, target in ((client, broker), (broker, client)):
            threading.Thread(target=self._pump, args=(source, target, client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if target is client and self._mute:
                    continue
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Listener:
    """Hears everything below a topic, and remembers it in order."""

    qos = 2

    def __init__(self, port: int, topic: str = "#", **credentials: Any) -> None:
        self.messages: list[MQTTMessage] = []
        self._topic = topic
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="listener", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
        if "username" in credentials:
            self._client.username_pw_set(credentials["username"], credentials["password"])
        if "tls" in credentials:
            self._client.tls_set_context(credentials["tls"])
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, self.qos)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.connect_async(credentials.get("host", "127.0.0.1"), port)
        self._client.loop_start()
        self.wait_until_listening()

    def wait_until_listening(self) -> None:
        assert self._subscribed.wait(DEADLINE_S), "the listener could not subscribe"

    def wait_until_disconnected(self) -> None:
        wait_until(lambda: not self._subscribed.is_set(), "the listener notices the end")

    def payloads(self, ending: str) -> list[str]:
        """What was said so far on topics that end like this."""
        return [m.payload.decode() for m in list(self.messages) if m.topic.endswith(ending)]

    def last(self, ending: str) -> str:
        """What was said last there; waits for the first."""
        return str(wait_until(lambda: self.payloads(ending), f"a message on {ending}")[-1])

    def wait_for(self, ending: str, payload: str) -> None:
        wait_until(lambda: payload in self.payloads(ending), f"{payload!r} on {ending}")

    def forget(self) -> None:
        self.messages.clear()

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, 1, retain).wait_for_publish(DEADLINE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
