"""Events to an MQTT broker.

Topics of a machine, below ``<sinks.mqtt.topic>/<machine>/``:

============  ===  ========  =========================================================
Topic         QoS  Retained  Payload
============  ===  ========  =========================================================
availability  1    yes       ``online``; ``offline`` is the broker's last will
state         1    yes       the verdict as JSON, on every change and once a minute
event         1    no        durable events, one JSON object each
event         0    no        the other events
score         0    no        one JSON object per window
============  ===  ========  =========================================================

Durable events arrive at least once and in order. One whose acknowledgement was lost is sent
again, with the same ``id``.

Threads
    One that connects and reconnects with growing pauses, paho's network thread of each connection,
    and one that renews the state. :meth:`MqttTransport.send` runs in the caller's.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from edge_asd.doctor.verdict import Verdict
from edge_asd.events.event import strict_json
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.status import Status
from edge_asd.outputs import Envelope, Output
from edge_asd.outputs.home_assistant import BIRTH, birth_topic, discovery, removal
from edge_asd.outputs.mqtt_client_id import default_client_id
from edge_asd.outputs.output_section import OutputContext, OutputSection, reach_server
from edge_asd.settings import FilePath, Port, TopicPrefix

if TYPE_CHECKING:
    from edge_asd.outputs.mqtt_link import Patience

__all__ = ["MqttSettings", "MqttTransport", "machine_slug"]

_LOGGER = logging.getLogger(__name__)

_PORT, _TLS_PORT = 1883, 8883
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,63}")
_HEARTBEAT_S = 60.0
_POLL_S = 1.0
_BIRTH_PAUSE_S = 10.0  # whoever says "online" again and again gets one answer


class MqttSettings(OutputSection):
    """An MQTT broker."""

    name: ClassVar[str] = "mqtt"
    secrets: ClassVar[tuple[str, ...]] = ("password",)
    private: ClassVar[tuple[str, ...]] = ("username",)

    host: str
    port: Port
    username: str
    password_file: FilePath
    password_env: str
    tls: bool
    ca_file: FilePath
    cert_file: FilePath
    key_file: FilePath
    topic: TopicPrefix
    client_id: str
    discovery: bool
    discovery_prefix: TopicPrefix

    @property
    def enabled(self) -> bool:
        return bool(self.host)

    @property
    def used_port(self) -> int:
        """The port, or the usual one."""
        return self.port or (_TLS_PORT if self.tls else _PORT)

    def open(self, context: OutputContext) -> Output:
        client_id = self.client_id or default_client_id(
            machine_slug(context.machine), context.folder
        )
        transport = MqttTransport(
            self,
            machine=context.machine,
            client_id=client_id,
            status=context.status,
            report=context.report,
            password=self.secret("password").read(context.environment) or None,
        )
        return context.delivery(transport)

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        place = f"{self.host}:{self.used_port}"
        yield reach_server("MQTT", self.host, self.used_port, shown=place)


class MqttTransport:
    """Delivers events to a broker, and publishes the state of the monitor there.

    Parameters
    ----------
    settings : the broker and what it asks for
    machine : its name; in topics without what MQTT or Home Assistant give a meaning
    client_id : the broker's name for this client, which no other may have
    status : gives the monitor's status; called from other threads
    report : takes the faults of which a delivery does not know; called from another thread
    password : of ``settings.username``; never logged
    clock : the monotonic clock of that status

    Raises
    ------
    OutputError
        When the settings, certificates or keys cannot be used. A broker that cannot be
        reached is no error here: :meth:`send` tells.
    """

    name = "mqtt"

    def __init__(
        self,
        settings: MqttSettings,
        *,
        machine: str,
        client_id: str,
        status: Callable[[], Status],
        report: Report,
        password: str | None,
        clock: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
        poll_s: float = _POLL_S,
    ) -> None:
        from edge_asd.outputs.mqtt_link import Link, Patience  # paho, which few profiles need

        slug = machine_slug(machine)
        self._base = f"{settings.topic}/{slug}"
        prefix = settings.discovery_prefix
        self._announcement = discovery(prefix, self._base, slug, machine)
        self._removal = {} if settings.discovery else removal(prefix, slug)
        self._announces = settings.discovery
        self._status = status
        self._clock = clock
        self._told: tuple[object, ...] | None = None
        self._told_at_s = 0.0
        self._is_asked = False  # Home Assistant has started
        self._answered_s = -math.inf
        self._rivalry = FaultLatch(report, "output", subject="mqtt client_id")
        self._limited = FaultLatch(report, "output_limited", subject=self.name)
        self._closing = threading.Event()
        self._link = Link(
            settings,
            client_id=client_id,
            password=password,
            will=f"{self._base}/availability",
            listen_to=(birth_topic(prefix),) if settings.discovery else (),
            on_up=self._introduce,
            on_message=self._hear,
            patience=patience or Patience(),
        )
        self._link.start()
        self._thread = threading.Thread(
            target=self._renew_state, args=(poll_s,), name="mqtt-state", daemon=True
        )
        self._thread.start()

    def send(self, envelope: Envelope) -> None:
        """Publish an event; return when the broker has it (QoS 0: when it was written).

        Raises
        ------
        OutputError
            When there is no connection, no answer in time, or a refusal. Sent again, the
            same event is not published anew while the broker may still acknowledge it.
        """
        if envelope.durable:
            self._link.deliver(envelope.id, f"{self._base}/event", envelope.payload)
        else:
            topic = "score" if envelope.event == "score" else "event"
            self._link.write(f"{self._base}/{topic}", envelope.payload)

    def close(self) -> None:
        """Leave a state that nobody takes for a present one, say ``offline`` and disconnect."""
        self._closing.set()
        self._thread.join()
        if self._link.connected:
            last = self._status().to_dict(math.inf)
            self._link.retain({f"{self._base}/state": strict_json(last)})
        self._link.close()

    def _introduce(self) -> None:
        """Publish what a broker without a memory, or a new listener, must know."""
        self._greet()
        self._link.retain(self._announcement if self._announces else self._removal)
        self._removal = {}  # once per process is enough
        # Published here, the state would be overtaken by an older one that is sent again.
        self._told = None

    def _greet(self) -> None:
        self._link.retain({f"{self._base}/availability": "online"})

    def _hear(self, topic: str, payload: bytes) -> None:
        self._is_asked |= payload == BIRTH

    def _renew_state(self, poll_s: float) -> None:
        while not self._closing.wait(poll_s):
            try:
                self._renew_state_once()
            except (Exception, SystemExit):
                _LOGGER.exception("the state could not be published")

    def _renew_state_once(self) -> None:
        self._check()
        if not self._link.connected:
            return
        now_s = self._clock()
        content = self._status().to_dict(now_s)
        facts = _facts(content)
        if self._is_asked and now_s - self._answered_s >= _BIRTH_PAUSE_S:
            self._is_asked, self._answered_s = False, now_s
            self._introduce()
        late = now_s - self._told_at_s >= _HEARTBEAT_S
        if late:
            # Heard only once, a lost "online" would make the monitor unavailable for ever.
            self._greet()
        if late or facts != self._told:
            self._told, self._told_at_s = facts, now_s
            self._link.retain({f"{self._base}/state": strict_json(content)})

    def _check(self) -> None:
        rivalry, limited = self._link.rivalry, self._link.limited
        self._rivalry.update(bool(rivalry), rivalry or "no other client has this client id")
        self._limited.update(bool(limited), limited or "the broker takes all that is published")


# What is published at once when it changes; figures wait for the heartbeat.
_FACTS = (
    "healthy",
    "deaf",
    "stale",
    "state",
    "alarm_id",
    "shelved_until",
    "capture",
    "threshold",
    "hop_s",
)


def _facts(content: dict[str, Any]) -> tuple[object, ...]:
    faults = tuple(fault["fault"] for fault in content["faults"])
    return *(content[name] for name in _FACTS), faults


def machine_slug(machine: str) -> str:
    """Return the name as a part of topics and ids: ``A-Z a-z 0-9 _ -`` alone, and unique."""
    if _PLAIN.fullmatch(machine):
        return machine
    digest = hashlib.sha256(machine.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', machine)[:40]}-{digest}"
