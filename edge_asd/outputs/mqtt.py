"""Events to an MQTT broker.

Topics of a machine, below ``<sinks.mqtt.topic>/<machine>/``:

============  ===  ========  =========================================================
Topic         QoS  Retained  Payload
============  ===  ========  =========================================================
availability  1    yes       ``online``; ``offline`` is the broker's last will
state         1    yes       the verdict as JSON, on every change and once a minute
event         2    no        events that must arrive, one JSON object each
event         0    no        the other events
score         0    no        one JSON object per window
============  ===  ========  =========================================================

Exactly once
    QoS 2 with a session that the broker keeps while the connection is down: a handshake that
    was cut is finished after the reconnect, so the subscribers hear of an event once. That
    needs MQTT 5, whose first connection of a process begins a new session. A message that is
    not acknowledged yet stays the same message when :meth:`MqttTransport.send` is tried again
    with the same event. When the broker itself forgets in the middle of a handshake, an event
    is rather sent twice than lost: its ``id`` tells. A broker that has no QoS 2 says so, and
    gets QoS 1.

Threads
    paho's network thread, which connects and reconnects with back-off, and one of our own,
    which renews the state. :meth:`MqttTransport.send` runs in the caller's.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_asd.errors import OutputError
from edge_asd.events.event import Event, ScoreEvent
from edge_asd.monitor.status import Status
from edge_asd.outputs.health import strict_json, verdict
from edge_asd.outputs.home_assistant import BIRTH, birth_topic, discovery, removal
from edge_asd.outputs.mqtt_link import Link, Patience, Receipt
from edge_asd.profile import MqttSettings

__all__ = ["MqttTransport", "machine_slug"]

_LOGGER = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,63}")
_HEARTBEAT_S = 60.0
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Pending:
    """An event that the broker has not acknowledged yet."""

    event_id: str
    receipt: Receipt


class _UnansweredError(OutputError):
    """The broker has neither acknowledged nor refused a message."""


class MqttTransport:
    """Delivers events to a broker, and keeps the machine's retained topics true.

    Parameters
    ----------
    settings : the broker and what it asks for
    machine : its name; in topics without what MQTT or Home Assistant give a meaning
    status : gives the monitor's status; called from other threads
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
        status: Callable[[], Status],
        password: str | None,
        clock: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
        heartbeat_s: float = _HEARTBEAT_S,
        poll_s: float = _POLL_S,
    ) -> None:
        slug = machine_slug(machine)
        self._base = f"{settings.topic}/{slug}"
        prefix = settings.discovery_prefix
        self._announcement = discovery(prefix, self._base, slug, machine)
        self._removal = {} if settings.discovery else removal(prefix, slug)
        self._announces = settings.discovery
        self._status = status
        self._clock = clock
        self._patience = patience or Patience()
        self._heartbeat_s = heartbeat_s
        self._pending: _Pending | None = None
        self._greeting: Receipt | None = None
        self._telling = threading.Lock()
        self._told: tuple[object, ...] | None = None
        self._told_at_s = 0.0
        self._closing = threading.Event()
        self._link = Link(
            settings,
            client_id=settings.client_id or f"edge-asd-{slug}",
            password=password,
            will=f"{self._base}/availability",
            listen_to=(birth_topic(prefix),) if settings.discovery else (),
            on_up=self._introduce,
            on_message=self._hear,
            patience=self._patience,
        )
        self._link.start()
        self._thread = threading.Thread(
            target=self._renew_state, args=(poll_s,), name="mqtt-state", daemon=True
        )
        self._thread.start()

    def send(self, event: Event) -> None:
        """Publish an event; return when the broker has it (QoS 0: when it was written).

        Raises
        ------
        OutputError
            When there is no connection, no answer in time, or a refusal. Sent again, the
            same event is not published anew while the broker may still acknowledge it.
        """
        self._link.require()
        if not event.durable:
            topic = "score" if isinstance(event, ScoreEvent) else "event"
            self._wait_for(self._link.publish(f"{self._base}/{topic}", event.to_json(), qos=0))
            return
        if self._pending is None or self._pending.event_id != event.id:
            receipt = self._link.publish(f"{self._base}/event", event.to_json(), qos=2)
            self._pending = _Pending(event.id, receipt)
        try:
            self._wait_for(self._pending.receipt)
            # paho hides that a message of QoS 2 was refused. The greeting has QoS 1, is older,
            # and meets the same access rules.
            if self._greeting:
                self._greeting.check()
        except _UnansweredError:
            raise  # it is still under way
        except OutputError:
            self._pending = None
            raise
        self._pending = None

    def close(self) -> None:
        """Say ``offline`` and disconnect."""
        self._closing.set()
        self._thread.join()
        self._link.close()

    def _wait_for(self, receipt: Receipt) -> None:
        if not receipt.wait(self._patience.acknowledge_s):
            raise _UnansweredError(self._link.problem)

    def _introduce(self) -> None:
        """Say everything that a broker without a memory, or a new listener, must know."""
        self._greet()
        self._link.retain(self._announcement if self._announces else self._removal)
        self._removal = {}  # once per process is enough
        self._tell_state()

    def _greet(self) -> None:
        self._greeting = self._link.publish(
            f"{self._base}/availability", "online", qos=1, retain=True
        )

    def _hear(self, topic: str, payload: bytes) -> None:
        if payload == BIRTH:
            self._introduce()

    def _renew_state(self, poll_s: float) -> None:
        while not self._closing.wait(poll_s):
            try:
                self._renew_state_once()
            except Exception:
                _LOGGER.exception("the state could not be published")

    def _renew_state_once(self) -> None:
        if not self._link.connected:
            return
        late = self._clock() - self._told_at_s >= self._heartbeat_s
        if late:
            # Heard only once, a lost "online" would make the monitor unavailable for ever.
            self._greet()
        if late or _facts(self._verdict()) != self._told:
            self._tell_state()

    def _tell_state(self) -> None:
        with self._telling:
            content = self._verdict()
            self._told, self._told_at_s = _facts(content), self._clock()
            self._link.retain({f"{self._base}/state": strict_json(content)})

    def _verdict(self) -> dict[str, Any]:
        return verdict(self._status(), self._clock())


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
