"""A broker that takes less than it is sent still gets every alarm, and that is told."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device.made_events import NOTICE, RAISED, SCORE
from device.mosquitto import Broker, Listener, Wire, free_port, needs_mosquitto
from device.mqtt_transports import QUICK, ids, send, send_until_taken
from device.reports import a_status
from device.waiting import wait_until

from edge_asd.errors import EventRefusedError
from edge_asd.events.fault import FaultChange
from edge_asd.outputs.mqtt import MqttTransport
from edge_asd.outputs.mqtt_limits import BrokerLimits, packet_bytes, shortened

ALARM = replace(RAISED, branches={f"fkie@{number}": 1.0 for number in range(100)})
FILES = Path("/proc/self/fd")  # that this process has opened
TOPIC = "edge-asd/pump/event"


def test_what_fits_is_sent_as_it_is() -> None:
    payload = json.dumps(ALARM.to_dict()).encode()
    limits = BrokerLimits(packet_bytes=packet_bytes(TOPIC, payload))

    assert shortened(TOPIC, payload, limits) is payload


@pytest.mark.parametrize("n_bytes", [1500, 1000, 500, 300, 200, 170])
def test_a_long_event_loses_its_largest_values_and_keeps_what_it_is(n_bytes: int) -> None:
    payload = json.dumps(ALARM.to_dict()).encode()

    short = shortened(TOPIC, payload, BrokerLimits(packet_bytes=n_bytes))

    assert short is not None
    assert packet_bytes(TOPIC, short) <= n_bytes
    content = json.loads(short)
    assert (content["event"], content["id"]) == ("alarm_raised", ALARM.id)
    assert content["shortened"] is True
    assert "branches" not in content


@pytest.mark.parametrize("payload", [b"online", b"[1, 2]", b'{"name": "Score"}', b'{"id": "x"}'])
def test_what_cannot_be_shortened_is_not_sent(payload: bytes) -> None:
    assert shortened(TOPIC, payload, BrokerLimits(packet_bytes=20)) is None


@needs_mosquitto
@pytest.mark.parametrize(
    ("option", "is_old"),
    [  # with MQTT 3.1.1 mosquitto acknowledges what its message_size_limit drops: nobody can know
        pytest.param("max_packet_size 600", False, id="packets, MQTT 5"),
        pytest.param("message_size_limit 600", False, id="messages, MQTT 5"),
        pytest.param("max_packet_size 600", True, id="packets, MQTT 3.1.1"),
    ],
)
def test_a_broker_with_a_small_packet_limit_gets_short_alarms_and_a_short_state(
    option: str,
    is_old: bool,
    tmp_path: Path,
    connect: Callable[..., MqttTransport],
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes: list[FaultChange] = []
    broker = Broker(tmp_path, option)
    wire = Wire(broker.port, refuses_mqtt_5=b"" if is_old else None)
    listener = Listener(broker.port)
    transport = connect(wire.port, report=changes.append, discovery=True)

    send_until_taken(transport, ALARM)
    send_until_taken(transport, NOTICE)

    wait_until(lambda: NOTICE.id in ids(listener), "the events arrive")
    assert ids(listener)[0] == ALARM.id
    assert json.loads(listener.last("/state"))["state"] == "normal"
    wait_until(lambda: changes, "the limit is a fault")
    assert changes[0].key == "output_limited:mqtt"
    assert "takes packets of " in changes[0].detail
    wait_until(lambda: transport_settles(wire), "no more connections begin")
    assert len(changes) == 1
    assert "Traceback" not in caplog.text
    for part in (transport, listener, wire, broker):
        part.close()


def transport_settles(wire: Wire) -> bool:
    """Whether the connection lives on while some states are published."""
    before = wire.n_connections
    try:
        wait_until(lambda: wire.n_connections != before, deadline_s=0.5)
    except pytest.fail.Exception:
        return True
    return False


@needs_mosquitto
def test_an_event_that_no_packet_of_the_broker_holds_is_refused_but_a_score_left_out(
    tmp_path: Path, connect: Callable[..., MqttTransport]
) -> None:
    broker = Broker(tmp_path, "max_packet_size 90")
    transport = connect(broker.port)

    with pytest.raises(EventRefusedError, match="takes 90 bytes at most, less than a") as refused:
        send(transport, ALARM)
    assert refused.value.patience_s == 0  # what waits behind it may fit
    send(transport, SCORE)  # one that may be lost delays nothing

    broker.close()


@needs_mosquitto
@pytest.mark.parametrize(
    ("option", "told"),
    [("retain_available false", "retains nothing"), ("max_qos 0", "acknowledges nothing")],
)
def test_a_broker_that_lacks_a_feature_gets_the_events_without(
    option: str, told: str, tmp_path: Path, connect: Callable[..., MqttTransport]
) -> None:
    changes: list[FaultChange] = []
    broker = Broker(tmp_path, option)
    listener = PlainListener(broker.port, "edge-asd/#")

    send_until_taken(connect(broker.port, report=changes.append), ALARM)

    wait_until(lambda: ids(listener) == [ALARM.id], "the event arrives")
    wait_until(lambda: changes, "what is missing is told")
    assert changes[0].fault.severity == "minor"
    assert told in changes[0].detail
    listener.close()
    broker.close()


class PlainListener(Listener):
    """Asks for no more than any broker has."""

    qos = 0


@needs_mosquitto
@pytest.mark.parametrize("is_old", [False, True], ids=["MQTT 5", "MQTT 3.1.1"])
def test_a_huge_message_on_the_topic_of_home_assistant_is_not_taken_into_memory(
    is_old: bool,
    broker: Broker,
    connect: Callable[..., MqttTransport],
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire(broker.port, refuses_mqtt_5=b"" if is_old else None)
    listener = Listener(broker.port, "edge-asd/#")
    listener.publish("homeassistant/status", "x" * 3_000_000, retain=True)

    transport = connect(wire.port, discovery=True)
    send_until_taken(transport, ALARM)

    wait_until(lambda: ids(listener) == [ALARM.id], "the event arrives")
    wait_until(lambda: transport_settles(wire), "no more connections begin")
    # MQTT 5 asks the broker not to send it; MQTT 3.1.1 has no words for that.
    assert ("a message of more than 65536 bytes came" in caplog.text) == is_old
    for part in (transport, listener, wire):
        part.close()


@needs_mosquitto
@pytest.mark.parametrize("is_old", [False, True], ids=["MQTT 5", "MQTT 3.1.1"])
def test_two_monitors_with_one_client_id_are_a_fault_that_names_it(
    is_old: bool, broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    changes: list[FaultChange] = []
    wires = [Wire(broker.port, refuses_mqtt_5=b"" if is_old else None) for _ in range(2)]
    patience = replace(QUICK, retry_min_s=0.4, retry_max_s=0.4)  # each has time to settle
    for wire, machine in zip(wires, ("pump", "fan"), strict=True):
        options: dict[str, Any] = {"machine": machine, "patience": patience}
        connect(wire.port, client_id="twin", report=changes.append, **options)

    wait_until(lambda: len(changes) >= 2, "both notice")

    assert {change.key for change in changes} == {"output:mqtt client_id"}
    assert "another 'twin'? set sinks.mqtt.client_id" in changes[0].detail


@needs_mosquitto
def test_births_without_end_are_answered_now_and_then(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    now_s = [100.0]
    connect(broker.port, discovery=True, clock=lambda: now_s[0], status=a_status)
    listener.last("/lost/config")
    listener.forget()

    for _ in range(50):
        listener.publish("homeassistant/status", "online")
    listener.last("/score/config")
    for _ in range(50):
        listener.publish("homeassistant/status", "online")
    assert len(listener.payloads("/score/config")) == 1
    now_s[0] += 10

    wait_until(lambda: len(listener.payloads("/score/config")) == 2, "the last is answered, too")


def test_connections_that_end_leave_no_file_open(connect: Callable[..., MqttTransport]) -> None:
    wire = Wire(free_port())  # nobody is behind it
    gc.disable()
    try:
        transport = connect(wire.port, patience=replace(QUICK, retry_max_s=0.02))
        wait_until(lambda: wire.n_connections > 3, "some attempts are over")
        before = len([*FILES.iterdir()])
        wait_until(lambda: wire.n_connections > 60, "many attempts are over")

        assert len([*FILES.iterdir()]) < before + 20
    finally:
        gc.enable()
    transport.close()
    wire.close()
