"""Events reach a real broker at least once and in order, whatever happens to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from device.made_events import NOTICE, SCORE
from device.mosquitto import Broker, Listener, Wire, free_port, needs_mosquitto
from device.mqtt_transports import HASTY, a_transport, ids, in_order, send, send_until_taken
from device.reports import a_notice
from device.waiting import DEADLINE_S, wait_until

from edge_asd.errors import OutputError
from edge_asd.events.fault import FaultChange
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.mqtt import MqttTransport
from edge_asd.outputs.outbox import Outbox


@needs_mosquitto
def test_a_frozen_broker_is_an_error_in_time_and_gets_the_event_later(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(broker.port, patience=HASTY)
    send_until_taken(transport, a_notice(1))
    broker.freeze()

    with pytest.raises(OutputError, match=r"no answer for 0\.3 s"):
        send(transport, a_notice(2))
    with pytest.raises(OutputError, match="no answer"):
        send(transport, a_notice(2))
    broker.thaw()
    send_until_taken(transport, a_notice(2))
    send_until_taken(transport, a_notice(3))

    wait_until(lambda: len(in_order(listener)) >= 3, "all events arrive")
    assert in_order(listener) == [a_notice(n).id for n in (1, 2, 3)]


@needs_mosquitto
def test_an_event_whose_acknowledgement_is_lost_comes_again_with_the_same_id(
    broker: Broker, listener: Listener, wire: Wire, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(wire.port, patience=HASTY)
    for number in range(5):
        send_until_taken(transport, a_notice(2 * number))
        wire.mute_broker()
        with pytest.raises(OutputError):
            send(transport, a_notice(2 * number + 1))
        wire.cut()
        wire.mend()
        send_until_taken(transport, a_notice(2 * number + 1))

    # The broker had the five of which it could not say so.
    wait_until(lambda: len(ids(listener)) >= 15, "all events and five repeats arrive")
    assert in_order(listener) == [a_notice(n).id for n in range(10)]
    assert len(ids(listener)) == 15


@needs_mosquitto
def test_an_event_that_the_broker_forgot_before_it_acknowledged_comes_again(
    broker: Broker, listener: Listener, wire: Wire, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(wire.port, patience=HASTY)
    send_until_taken(transport, a_notice(1))
    wire.mute_broker()
    with pytest.raises(OutputError):
        send(transport, a_notice(2))
    wire.cut()
    broker.kill()
    listener.wait_until_disconnected()
    broker.start()
    listener.wait_until_listening()
    wire.mend()

    send_until_taken(transport, a_notice(2))

    wait_until(lambda: len(in_order(listener)) >= 2, "all events arrive")
    assert in_order(listener) == [a_notice(n).id for n in (1, 2)]


@needs_mosquitto
def test_an_outage_is_logged_once_and_not_with_every_attempt(
    broker: Broker, connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="edge_asd")
    transport = connect(broker.port)
    send(transport, NOTICE)

    broker.kill()
    for _ in range(3):
        wait_until(lambda: "connection refused" in caplog.text, "the attempts begin")
        with pytest.raises(OutputError, match="connection refused"):
            send(transport, NOTICE)

    lost, refused = [record.getMessage() for record in caplog.records]
    assert lost.endswith("the connection was lost")
    assert "connection refused" in refused


def test_the_reason_that_a_broker_gives_for_the_end_is_told(
    connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        greeting, taken_over = b"\x20\x03\x00\x00\x00", b"\xe0\x02\x8e\x00"
        answer_with(server, greeting + taken_over)
        connect(server.getsockname()[1])

        wait_until(lambda: "it ended the connection: Session taken over" in caplog.text, "it")
        server.shutdown(socket.SHUT_RDWR)


@needs_mosquitto
def test_events_of_an_outage_arrive_in_order_and_none_is_lost(
    tmp_path: Path, broker: Broker, listener: Listener, wire: Wire
) -> None:
    changes: list[FaultChange] = []
    outbox = Outbox(tmp_path / "journal.sqlite3", changes.append)
    delivery = Delivery(
        a_transport(wire.port),
        report=changes.append,
        accepts=lambda event: True,
        outbox=outbox,
        pause_s=0.02,
        max_pause_s=0.1,
        patience_s=0.05,
    )
    for number in range(10):
        delivery.emit(a_notice(number))
        delivery.emit(SCORE)
    wait_until(lambda: len(in_order(listener)) == 10, "the first events arrive")
    for number in range(10, 40):
        delivery.emit(a_notice(number))
        if number == 15:
            wire.cut()
            broker.kill()
    wait_until(lambda: changes, "the outage is a fault")
    listener.wait_until_disconnected()
    broker.start()
    listener.wait_until_listening()
    wire.mend()

    wait_until(lambda: delivery.counters()["waiting"] == 0, "everything is delivered")
    wait_until(lambda: len(in_order(listener)) >= 40, "everything arrives")
    wait_until(lambda: not changes[-1].active, "the fault ends")
    delivery.close()
    outbox.close()

    assert in_order(listener) == [a_notice(number).id for number in range(40)]
    assert (changes[0].key, changes[0].active) == ("output:mqtt", True)


@needs_mosquitto
def test_a_broker_without_a_memory_is_told_everything_again(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    connect(broker.port)
    listener.last("/state")
    broker.kill()
    listener.wait_until_disconnected()
    listener.forget()

    broker.start()

    listener.wait_for("/availability", "online")
    assert json.loads(listener.last("/state"))["healthy"] is True


@needs_mosquitto
def test_a_server_that_talks_nonsense_does_not_end_the_attempts(
    tmp_path: Path, connect: Callable[..., MqttTransport]
) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        answered = answer_with(server, b"\x20\x03\x00\x00\xff" + bytes(range(256)))
        transport = connect(port)
        assert answered.wait(DEADLINE_S)
        server.shutdown(socket.SHUT_RDWR)
    broker = Broker(tmp_path, port=port)

    send_until_taken(transport, NOTICE)

    broker.close()


def answer_with(server: socket.socket, answer: bytes) -> threading.Event:
    """Give every client this answer; the event tells of the first."""
    answered = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    client.recv(1000)
                    client.sendall(answer)
                    answered.set()
                    client.settimeout(1.0)
                    while client.recv(1000):  # a reset would overtake the answer
                        pass

    threading.Thread(target=serve, daemon=True).start()
    return answered
