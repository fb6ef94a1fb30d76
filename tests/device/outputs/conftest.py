"""A broker, a listener, a wire between them, and transports that are closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from device.mosquitto import (
    Broker,
    Listener,
    Wire,
)
from device.mqtt_transports import (
    a_transport,
)

from edge_asd.outputs.mqtt import MqttTransport


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.close()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    wire = Wire(broker.port)
    yield wire
    wire.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., MqttTransport]]:
    """Makes transports, and closes them at the end."""
    made: list[MqttTransport] = []

    def connect(port: int, **options: Any) -> MqttTransport:
        made.append(a_transport(port, **options))
        return made[-1]

    yield connect
    for transport in made:
        transport.close()
