"""A broker that speaks nothing newer than MQTT 3.1.1 gets all that another one gets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from device.made_events import NOTICE, SCORE
from device.mosquitto import Broker, Listener, Wire, needs_mosquitto
from device.mqtt_transports import HASTY, a_transport, ids, in_order, send, send_until_taken
from device.reports import a_notice
from device.waiting import wait_until

from edge_asd.errors import OutputError
from edge_asd.outputs.mqtt import MqttTransport

# CONNACK as MQTT 3.1.1 (3.2.2.3) and MQTT 5 (3.2.2.2) define it for an unknown version; some
# brokers (amqtt 0.12) take MQTT 5 for nonsense and hang up.
REFUSALS = {"3.1.1": b"\x20\x02\x00\x01", "5": b"\x20\x03\x00\x84\x00", "none": b""}
V311, V5 = 4, 5

pytestmark = needs_mosquitto


@pytest.fixture(params=list(REFUSALS.values()), ids=list(REFUSALS))
def wire(broker: Broker, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """mosquitto behind a door that lets nobody in who speaks MQTT 5."""
    wire = Wire(broker.port, refuses_mqtt_5=request.param)
    yield wire
    wire.close()


def test_events_state_and_availability_arrive(
    wire: Wire,
    listener: Listener,
    connect: Callable[..., MqttTransport],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING", logger="edge_asd")
    transport = connect(wire.port, discovery=True)
    for event in (NOTICE, SCORE):
        send(transport, event)

    listener.wait_for("/availability", "online")
    assert json.loads(listener.last("/state"))["healthy"] is True
    assert json.loads(listener.last("/config"))["origin"]["name"] == "edge-asd"
    assert json.loads(listener.last("/event")) == NOTICE.to_dict()
    assert json.loads(listener.last("/score")) == SCORE.to_dict()
    assert wire.versions == [V5, V311]
    assert caplog.text == ""


def test_nothing_is_lost_when_the_broker_is_killed_before_it_acknowledges(
    broker: Broker, wire: Wire, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(wire.port, patience=HASTY)
    send_until_taken(transport, a_notice(0))
    wire.mute_broker()
    with pytest.raises(OutputError):
        send(transport, a_notice(1))
    wait_until(lambda: len(ids(listener)) == 2, "the broker passes it on")
    wire.cut()
    broker.kill()
    listener.wait_until_disconnected()
    broker.start()
    listener.wait_until_listening()
    wire.mend()

    for number in (1, 2, 3):
        send_until_taken(transport, a_notice(number))

    wait_until(lambda: len(in_order(listener)) == 4, "everything arrives")
    assert in_order(listener) == [a_notice(number).id for number in range(4)]
    assert ids(listener).count(a_notice(1).id) == 2
    assert set(wire.versions[1:]) == {V311}


def test_the_broker_says_offline_when_the_connection_breaks(
    wire: Wire, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    send(connect(wire.port), NOTICE)

    wire.cut()

    listener.wait_for("/availability", "offline")


def test_a_monitor_that_ends_says_so_and_leaves_no_thread(wire: Wire, listener: Listener) -> None:
    threads = threading.active_count()
    transport = a_transport(wire.port)
    send(transport, NOTICE)

    transport.close()

    listener.wait_for("/availability", "offline")
    wire.cut()
    wait_until(lambda: threading.active_count() <= threads, "the threads end")


def test_what_is_wrong_is_told_as_by_a_newer_broker(
    tmp_path: Path, connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="edge_asd")
    nobody = tmp_path / "passwords"
    nobody.touch(0o600)
    broker = Broker(tmp_path, f"password_file {nobody}")
    wire = Wire(broker.port, refuses_mqtt_5=b"")
    transport = connect(wire.port)
    for n_tried in (1, 3, 5):
        with pytest.raises(OutputError, match="it refuses the connection: Not authorized; check"):
            send(transport, NOTICE)
        wait_until(partial(_has_tried, wire, n_tried), "it is tried again")
    wire.close()
    broker.close()

    assert "Not authorized" in caplog.records[0].getMessage()
    assert wire.versions[:4] == [V5, V311, V5, V311]


def _has_tried(wire: Wire, n_times: int) -> bool:
    return len(wire.versions) > n_times
