"""Events reach a real broker, whatever happens to it."""

from __future__ import annotations

import json
import logging
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device.made_events import GAP, NOTICE, SCORE
from device.mosquitto import (
    DEADLINE_S,
    PATH,
    Broker,
    Listener,
    Wire,
    free_port,
    needs_mosquitto,
    wait_until,
)
from device.reports import SILENT, a_notice, a_status
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.errors import OutputError
from edge_asd.events.fault import FaultChange
from edge_asd.monitor.status import Status
from edge_asd.outputs.delivery import Backoff, Delivery
from edge_asd.outputs.mqtt import MqttTransport, machine_slug
from edge_asd.outputs.mqtt_link import Patience
from edge_asd.profile import MqttSettings, load_profile

PASSWORD = "correct horse"
QUICK = Patience(
    acknowledge_s=5.0, retry_min_s=0.02, retry_max_s=0.1, keepalive_s=5, farewell_s=0.5
)
HASTY = replace(QUICK, acknowledge_s=0.3)
NOW_S = 100.5

# paho leaves the socket of a failed TLS greeting to the garbage collector.
tls_fails = pytest.mark.filterwarnings(
    "ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


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


def a_transport(
    port: int,
    *,
    status: Callable[[], Status] = a_status,
    machine: str = "pump",
    password: str | None = None,
    patience: Patience = QUICK,
    clock: Callable[[], float] = lambda: NOW_S,
    **settings: Any,
) -> MqttTransport:
    return MqttTransport(
        mqtt_settings(port, **settings),
        machine=machine,
        status=status,
        password=password,
        patience=patience,
        clock=clock,
        poll_s=0.02,
    )


def mqtt_settings(port: int, **changes: Any) -> MqttSettings:
    default = load_profile().sinks.mqtt
    changes = {"host": "127.0.0.1", "port": port, "discovery": False} | changes
    return MqttSettings.model_validate(default.model_dump() | changes)


def ids(listener: Listener) -> list[str]:
    return [json.loads(payload)["id"] for payload in listener.payloads("/event")]


def send_until_taken(transport: MqttTransport, event: Any) -> None:
    """Try again and again, as a delivery does."""

    def taken() -> bool:
        try:
            transport.send(event)
        except OutputError:
            return False
        return True

    wait_until(taken, f"{event.id} is taken")


@needs_mosquitto
def test_an_event_that_must_arrive_is_sent_exactly_once_and_not_retained(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    connect(broker.port).send(NOTICE)

    listener.last("pump/event")
    (message,) = [m for m in listener.messages if m.topic == "edge-asd/pump/event"]
    assert (message.qos, message.retain) == (2, False)
    assert json.loads(message.payload) == NOTICE.to_dict()


@needs_mosquitto
@pytest.mark.parametrize(("event", "topic"), [(SCORE, "score"), (GAP, "event")])
def test_an_event_that_may_be_lost_is_sent_at_most_once(
    event: Any,
    topic: str,
    broker: Broker,
    listener: Listener,
    connect: Callable[..., MqttTransport],
) -> None:
    connect(broker.port).send(event)

    listener.last(f"pump/{topic}")
    (message,) = [m for m in listener.messages if m.topic == f"edge-asd/pump/{topic}"]
    assert (message.qos, message.retain) == (0, False)
    assert json.loads(message.payload) == event.to_dict()


@needs_mosquitto
def test_who_comes_late_hears_the_state_and_that_the_monitor_is_there(
    broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    connect(broker.port).send(NOTICE)

    late = Listener(broker.port)
    state = json.loads(late.last("edge-asd/pump/state"))
    late.wait_for("edge-asd/pump/availability", "online")
    late.close()

    assert (state["healthy"], state["alarm"], state["state"]) == (True, False, "normal")
    assert state["levels_dbfs"] == {"near": -31.5, "far": -40.25}
    assert state["score_age_s"] == 1.5


@needs_mosquitto
@pytest.mark.parametrize(
    "changes",
    [{"state": "alarm", "alarm_id": "pump-1"}, {"capture": "lost"}, {"faults": (SILENT,)}],
)
def test_the_state_is_told_at_once_when_it_changes(
    changes: dict[str, Any],
    broker: Broker,
    listener: Listener,
    connect: Callable[..., MqttTransport],
) -> None:
    statuses = [a_status()]
    connect(broker.port, status=lambda: statuses[-1])
    listener.last("/state")
    listener.forget()

    statuses.append(a_status(**changes))

    told = json.loads(listener.last("/state"))
    assert told.items() >= {"alarm": "state" in changes, "healthy": "state" in changes}.items()


@needs_mosquitto
def test_figures_wait_for_the_heartbeat_which_repeats_that_the_monitor_is_there(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    now_s = [NOW_S]
    statuses = [a_status()]
    polls: list[float] = []

    def status() -> Status:
        polls.append(now_s[0])
        return statuses[-1]

    connect(broker.port, status=status, clock=lambda: now_s[0])
    listener.last("/state")
    listener.forget()
    statuses.append(a_status(score=0.75, updated_s=159.0))
    wait_until(lambda: len(polls) > 5, "the state is looked at some times")
    assert listener.payloads("/state") == []

    now_s[0] += 60

    assert json.loads(listener.last("/state"))["score"] == 0.75
    assert listener.last("/availability") == "online"


@needs_mosquitto
def test_the_state_of_a_monitor_that_hangs_is_deaf(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    now_s = [NOW_S]
    connect(broker.port, clock=lambda: now_s[0])
    assert json.loads(listener.last("/state"))["healthy"] is True
    listener.forget()

    now_s[0] = 131.0

    state = json.loads(listener.last("/state"))
    assert (state["healthy"], state["deaf"], state["stale"]) == (False, True, True)


@needs_mosquitto
def test_a_monitor_that_ends_says_so_and_leaves_no_thread(
    broker: Broker, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="edge_asd")
    transport = a_transport(broker.port)
    transport.send(NOTICE)

    transport.close()

    listener.wait_for("/availability", "offline")
    assert caplog.text == ""
    assert "mqtt-state" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OutputError, match="the connection is closed"):
        transport.send(a_notice(1))


@needs_mosquitto
def test_a_monitor_that_ends_before_it_is_connected_leaves_nothing_behind(
    broker: Broker, listener: Listener
) -> None:
    threads = threading.active_count()
    for _ in range(5):
        a_transport(broker.port).close()

    wait_until(lambda: threading.active_count() <= threads, "the threads end")
    late = Listener(broker.port)
    late.publish("edge-asd/pump/score", "the end")
    late.last("/score")
    late.close()
    assert late.payloads("/availability") in ([], ["offline"])


KILLED = """
import sys
sys.path[:] = {path!r}
from device.outputs.test_mqtt import a_transport, NOTICE
transport = a_transport({port})
transport.send(NOTICE)
print("sent", flush=True)
sys.stdin.read()
"""


@needs_mosquitto
def test_the_broker_says_offline_when_the_monitor_is_killed(
    broker: Broker, listener: Listener
) -> None:
    code = KILLED.format(path=sys.path, port=broker.port)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as monitor:
        assert monitor.stdout is not None
        assert monitor.stdout.readline() == b"sent\n"
        listener.wait_for("/availability", "online")

        monitor.kill()

        listener.wait_for("/availability", "offline")


def test_a_broker_that_is_not_there_is_one_clear_line(
    connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    transport = connect(port)

    with pytest.raises(OutputError) as caught:
        transport.send(NOTICE)
    with pytest.raises(OutputError):
        transport.send(NOTICE)

    assert str(caught.value) == (
        f"MQTT broker 127.0.0.1:{port}: connection refused; "
        "check host and port, and that the broker runs"
    )
    assert len(caplog.records) == 1


def test_an_unknown_host_is_named(connect: Callable[..., MqttTransport]) -> None:
    transport = connect(1883, host="broker.invalid")

    with pytest.raises(OutputError, match=r"broker\.invalid:1883: unknown host name"):
        transport.send(NOTICE)


def test_an_open_door_without_an_answer_is_told_as_such(
    connect: Callable[..., MqttTransport],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        transport = connect(dumb.getsockname()[1], patience=HASTY)

        with pytest.raises(OutputError, match="no answer yet"):
            transport.send(NOTICE)


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_a_host_that_is_no_name_is_refused_at_once(host: str) -> None:
    with pytest.raises(OutputError, match=r"sinks\.mqtt\.host is '.*', which is no host name"):
        a_transport(1883, host=host)


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Broker]:
    """Wants a password, and lets nobody write on ``forbidden``."""
    passwords, access = tmp_path / "passwords", tmp_path / "access"
    tool = shutil.which("mosquitto_passwd", path=PATH)
    assert tool is not None
    subprocess.run([tool, "-b", "-c", passwords, "site", PASSWORD], check=True)
    access.write_text("user site\ntopic readwrite edge-asd/#\ntopic read forbidden/#\n")
    broker = Broker(tmp_path, f"password_file {passwords}", f"acl_file {access}")
    yield broker
    broker.close()


@needs_mosquitto
def test_the_right_password_lets_in(
    guarded_broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    listener = Listener(guarded_broker.port, "edge-asd/#", username="site", password=PASSWORD)

    connect(guarded_broker.port, username="site", password=PASSWORD).send(NOTICE)

    wait_until(lambda: ids(listener) == [NOTICE.id], "the event arrives")
    listener.close()


@needs_mosquitto
def test_a_wrong_password_is_one_clear_line_that_does_not_contain_it(
    guarded_broker: Broker,
    connect: Callable[..., MqttTransport],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = connect(guarded_broker.port, username="site", password="wrong horse")

    with pytest.raises(OutputError) as caught:
        transport.send(NOTICE)

    assert str(caught.value).endswith(
        "it refuses the connection: Not authorized; check username, password, client_id"
    )
    assert "wrong horse" not in f"{caught.value} {caplog.text} {transport!r} {vars(transport)}"


@needs_mosquitto
def test_a_message_that_the_broker_does_not_allow_is_an_error(
    guarded_broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(guarded_broker.port, username="site", password=PASSWORD, topic="forbidden")

    with pytest.raises(OutputError, match=r"refuses a message: .*; check its access rules"):
        transport.send(NOTICE)


@needs_mosquitto
def test_a_broker_without_exactly_once_gets_at_least_once(
    tmp_path: Path, connect: Callable[..., MqttTransport]
) -> None:
    broker = Broker(tmp_path, "max_qos 1")
    listener = Listener(broker.port)

    connect(broker.port).send(NOTICE)

    wait_until(lambda: ids(listener) == [NOTICE.id], "the event arrives")
    listener.close()
    broker.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca), a broker (127.0.0.1), a client, others that nobody knows or means."""
    folder = tmp_path_factory.mktemp("certificates")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "stranger"):
        openssl(folder, "req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    for name, address in (
        *(("broker", "IP:127.0.0.1"), ("client", "IP:127.0.0.1")),
        ("elsewhere", "IP:192.0.2.1"),
    ):
        (folder / "names").write_text(f"subjectAltName={address}")
        openssl(folder, "req", *new_key, "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "names",
                "-out", f"{name}.pem")  # fmt: skip
    return folder


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tls_broker(
    request: pytest.FixtureRequest, tmp_path: Path, certificates: Path
) -> Iterator[Broker]:
    """Speaks TLS only, to clients with a certificate only; its own may be another's."""
    name = getattr(request, "param", "broker")
    broker = Broker(
        tmp_path,
        f"cafile {certificates / 'ca.pem'}",
        f"certfile {certificates / f'{name}.pem'}",
        f"keyfile {certificates / f'{name}.key'}",
        "require_certificate true",
    )
    yield broker
    broker.close()


def tls_settings(certificates: Path) -> dict[str, Any]:
    return {
        "tls": True,
        "ca_file": str(certificates / "ca.pem"),
        "cert_file": str(certificates / "client.pem"),
        "key_file": str(certificates / "client.key"),
    }


@needs_mosquitto
def test_events_travel_through_tls_with_certificates_of_both_sides(
    tls_broker: Broker, certificates: Path, connect: Callable[..., MqttTransport]
) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    listener = Listener(tls_broker.port, tls=context)

    connect(tls_broker.port, **tls_settings(certificates)).send(NOTICE)

    wait_until(lambda: ids(listener) == [NOTICE.id], "the event arrives")
    listener.close()


@needs_mosquitto
@tls_fails
@pytest.mark.parametrize(
    ("tls_broker", "changes", "reason"),
    [
        ("broker", {"ca_file": "stranger.pem"}, "certificate is not accepted: .*; check ca_file"),
        ("broker", {"ca_file": ""}, "its certificate is not accepted: .*; check ca_file"),
        ("elsewhere", {}, "its certificate is not accepted: IP address mismatch"),
        ("broker", {"cert_file": "", "key_file": ""}, "check port|check host|TLS failed|hung up"),
    ],
    indirect=["tls_broker"],
)
def test_a_broker_that_cannot_be_trusted_or_does_not_trust_is_one_clear_line(
    changes: dict[str, str],
    reason: str,
    tls_broker: Broker,
    certificates: Path,
    connect: Callable[..., MqttTransport],
) -> None:
    changes = {
        name: str(certificates / value) if name.endswith("file") and value else value
        for name, value in changes.items()
    }
    transport = connect(tls_broker.port, **tls_settings(certificates) | changes)

    with pytest.raises(OutputError, match=reason) as caught:
        transport.send(NOTICE)

    assert "\n" not in str(caught.value)


@needs_mosquitto
def test_plain_talk_to_a_port_for_tls_gives_a_hint(
    tls_broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(tls_broker.port)

    with pytest.raises(OutputError, match="check port and tls"):
        transport.send(NOTICE)


@needs_mosquitto
@tls_fails
def test_tls_talk_to_a_plain_port_gives_a_hint(
    broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(broker.port, tls=True, patience=HASTY)

    with pytest.raises(OutputError, match=r"check port|check host|no answer"):
        transport.send(NOTICE)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"ca_file": "ca.pem"}, "ca_file is set, but tls is false; set tls = true"),
        ({"tls": True, "key_file": "client.key"}, "key_file is set, but cert_file is not"),
        ({"tls": True, "ca_file": "/none/ca.pem"}, "ca_file /none/ca.pem: No such file"),
        ({"tls": True, "cert_file": "/none.pem"}, "cert_file /none.pem with key_file none: No"),
        ({"tls": True, "cert_file": __file__}, "TLS failed"),
    ],
)
def test_certificates_that_cannot_be_used_are_refused_at_once(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(OutputError, match=reason):
        a_transport(8883, **settings)


def test_a_password_without_encryption_is_warned_of(
    connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    connect(1883, host="broker.invalid", username="site", password=PASSWORD)

    assert "gets the password unencrypted; set tls = true" in caplog.text
    assert PASSWORD not in caplog.text


@needs_mosquitto
def test_a_frozen_broker_is_an_error_in_time_and_hears_of_the_event_once(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(broker.port, patience=HASTY)
    send_until_taken(transport, a_notice(1))
    broker.freeze()

    with pytest.raises(OutputError, match=r"no answer for 0\.3 s"):
        transport.send(a_notice(2))
    with pytest.raises(OutputError, match="no answer"):
        transport.send(a_notice(2))
    broker.thaw()
    send_until_taken(transport, a_notice(2))
    send_until_taken(transport, a_notice(3))

    wait_until(lambda: len(ids(listener)) >= 3, "all events arrive")
    assert ids(listener) == [a_notice(n).id for n in (1, 2, 3)]


@needs_mosquitto
def test_an_acknowledgement_that_is_lost_does_not_repeat_the_event(
    broker: Broker, listener: Listener, wire: Wire, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(wire.port, patience=HASTY)
    for number in range(5):
        send_until_taken(transport, a_notice(2 * number))
        wire.mute_broker()
        with pytest.raises(OutputError):
            transport.send(a_notice(2 * number + 1))
        wire.cut()
        wire.mend()
        send_until_taken(transport, a_notice(2 * number + 1))

    wait_until(lambda: len(ids(listener)) >= 10, "all events arrive")
    assert ids(listener) == [a_notice(n).id for n in range(10)]


@needs_mosquitto
def test_a_broker_that_forgets_a_half_sent_event_hears_of_it_again(
    broker: Broker, listener: Listener, wire: Wire, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(wire.port, patience=HASTY)
    send_until_taken(transport, a_notice(1))
    wire.mute_broker()
    with pytest.raises(OutputError):
        transport.send(a_notice(2))
    wire.cut()
    broker.kill()
    listener.wait_until_disconnected()
    broker.start()
    listener.wait_until_listening()
    wire.mend()

    send_until_taken(transport, a_notice(2))

    wait_until(lambda: len(ids(listener)) >= 2, "all events arrive")
    assert ids(listener) == [a_notice(n).id for n in (1, 2)]


@needs_mosquitto
@pytest.mark.parametrize("forgets", [False, True])
def test_an_event_that_the_broker_has_taken_but_not_passed_on_is_not_lost(
    forgets: bool,
    broker: Broker,
    listener: Listener,
    wire: Wire,
    connect: Callable[..., MqttTransport],
) -> None:
    transport = connect(wire.port, patience=HASTY)
    send_until_taken(transport, a_notice(1))
    wire.swallow_releases()
    with pytest.raises(OutputError):
        transport.send(a_notice(2))
    wire.cut()
    if forgets:
        broker.kill()
        listener.wait_until_disconnected()
        broker.start()
        listener.wait_until_listening()
    wire.mend()

    send_until_taken(transport, a_notice(2))
    send_until_taken(transport, a_notice(3))

    wait_until(lambda: len(ids(listener)) >= 3, "all events arrive")
    assert ids(listener) == [a_notice(n).id for n in (1, 2, 3)]


@needs_mosquitto
def test_an_outage_is_logged_once_and_not_with_every_attempt(
    broker: Broker, connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="edge_asd")
    transport = connect(broker.port)
    transport.send(NOTICE)

    broker.kill()
    for _ in range(3):
        wait_until(lambda: "connection refused" in caplog.text, "the attempts begin")
        with pytest.raises(OutputError, match="connection refused"):
            transport.send(NOTICE)

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
def test_events_of_an_outage_arrive_in_order_exactly_once_after_it(
    tmp_path: Path, broker: Broker, listener: Listener, wire: Wire
) -> None:
    changes: list[FaultChange] = []
    delivery = Delivery(
        a_transport(wire.port),
        report=changes.append,
        accepts=lambda event: True,
        spool=tmp_path / "mqtt.jsonl",
        backoff=Backoff(0.02, 0.1),
        patience_s=0.05,
    )
    for number in range(10):
        delivery.emit(a_notice(number))
        delivery.emit(SCORE)
    wait_until(lambda: len(ids(listener)) == 10, "the first events arrive")
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
    wait_until(lambda: len(ids(listener)) >= 40, "everything arrives")
    wait_until(lambda: not changes[-1].active, "the fault ends")
    delivery.close()

    assert ids(listener) == [a_notice(number).id for number in range(40)]
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


def test_a_plain_name_is_its_own_part_of_the_topics() -> None:
    assert machine_slug("pump-3_B") == "pump-3_B"


@given(st.text(max_size=100))
def test_no_name_reaches_a_topic_with_a_character_that_has_a_meaning(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,63}", machine_slug(name))


@given(st.text(max_size=100), st.text(max_size=100))
def test_different_names_have_different_topics(one: str, other: str) -> None:
    assert (machine_slug(one) == machine_slug(other)) == (one == other)
