"""Transports to a real broker, and what was heard there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

from device.mosquitto import Listener
from device.reports import a_status
from device.waiting import wait_until

from edge_asd.errors import OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.status import Status
from edge_asd.outputs import Envelope
from edge_asd.outputs.mqtt import MqttSettings, MqttTransport, machine_slug
from edge_asd.outputs.mqtt_link import Patience
from edge_asd.profile import load_profile

PASSWORD = "correct horse"
QUICK = Patience(
    acknowledge_s=5.0, retry_min_s=0.02, retry_max_s=0.1, keepalive_s=5, farewell_s=0.5
)
HASTY = replace(QUICK, acknowledge_s=0.3)
NOW_S = 100.5


def a_transport(
    port: int,
    *,
    status: Callable[[], Status] = a_status,
    machine: str = "pump",
    client_id: str = "",
    report: Report = lambda change: None,
    password: str | None = None,
    patience: Patience = QUICK,
    clock: Callable[[], float] = lambda: NOW_S,
    **settings: Any,
) -> MqttTransport:
    return MqttTransport(
        mqtt_settings(port, **settings),
        machine=machine,
        client_id=client_id or f"edge-asd-{machine_slug(machine)}",
        status=status,
        report=report,
        password=password,
        patience=patience,
        clock=clock,
        poll_s=0.02,
    )


def mqtt_settings(port: int, **changes: Any) -> MqttSettings:
    default = load_profile().sinks.mqtt
    changes = {"host": "127.0.0.1", "port": port, "discovery": False} | changes
    return MqttSettings.model_validate(default.model_dump() | changes)


def send(transport: MqttTransport, event: Event) -> None:
    transport.send(Envelope.of(event))


def send_until_taken(transport: MqttTransport, event: Event) -> None:
    """Try again and again, as a delivery does."""

    def taken() -> bool:
        try:
            send(transport, event)
        except OutputError:
            return False
        return True

    wait_until(taken, f"{event.id} is taken")


def ids(listener: Listener) -> list[str]:
    """Ids of the events that were heard, repeats included."""
    return [json.loads(payload)["id"] for payload in listener.payloads("/event")]


def in_order(listener: Listener) -> list[str]:
    """Ids of the events that were heard; an event may have been repeated before the next."""
    return [json.loads(payload)["id"] for payload, _ in groupby(listener.payloads("/event"))]
