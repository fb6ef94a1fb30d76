"""Who may speak to a broker, and what a set-up that is wrong is told."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device.certificates import KEY_USAGE, make_authority, make_certificate
from device.made_events import NOTICE
from device.mosquitto import PATH, Broker, Listener, free_port, needs_mosquitto
from device.mqtt_transports import (
    HASTY,
    PASSWORD,
    QUICK,
    a_transport,
    ids,
    send,
)
from device.waiting import wait_until

from edge_asd.errors import OutputError
from edge_asd.outputs.mqtt import MqttTransport

# paho leaves the socket of a failed TLS greeting to the garbage collector.
tls_fails = pytest.mark.filterwarnings(
    "ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


def test_a_broker_that_is_not_there_is_one_clear_line(
    connect: Callable[..., MqttTransport], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    transport = connect(port)

    with pytest.raises(OutputError) as caught:
        send(transport, NOTICE)
    with pytest.raises(OutputError):
        send(transport, NOTICE)

    assert str(caught.value) == (
        f"MQTT broker 127.0.0.1:{port}: connection refused; "
        "check host and port, and that the broker runs"
    )
    assert len(caplog.records) == 1


def test_an_unknown_host_is_named(connect: Callable[..., MqttTransport]) -> None:
    transport = connect(1883, host="broker.invalid")

    with pytest.raises(OutputError, match=r"broker\.invalid:1883: unknown host name"):
        send(transport, NOTICE)


def test_an_open_door_without_an_answer_is_told_as_such(
    connect: Callable[..., MqttTransport],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        transport = connect(dumb.getsockname()[1], patience=HASTY)

        with pytest.raises(OutputError, match="no answer yet"):
            send(transport, NOTICE)


def test_a_door_that_stays_open_without_an_answer_is_left_with_a_hint(
    connect: Callable[..., MqttTransport],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        patience = replace(QUICK, keepalive_s=1, acknowledge_s=60.0)
        transport = connect(dumb.getsockname()[1], patience=patience)

        with pytest.raises(OutputError, match="no answer; check host, port and tls"):
            send(transport, NOTICE)


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

    send(connect(guarded_broker.port, username="site", password=PASSWORD), NOTICE)

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
        send(transport, NOTICE)

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
        send(transport, NOTICE)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca), a broker (127.0.0.1), a client, others that nobody knows or means."""
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder, "ca", *KEY_USAGE)
    make_authority(folder, "stranger", *KEY_USAGE)
    for name in ("broker", "client"):
        make_certificate(folder, name, "IP:127.0.0.1")
    make_certificate(folder, "elsewhere", "IP:192.0.2.1")
    make_certificate(folder, "old", "IP:127.0.0.1", "-days", "-1")
    make_authority(folder, "vague")  # says nothing of what its key is for
    make_certificate(folder, "vaguely", "IP:127.0.0.1", authority="vague")
    return folder


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

    send(connect(tls_broker.port, **tls_settings(certificates)), NOTICE)

    wait_until(lambda: ids(listener) == [NOTICE.id], "the event arrives")
    listener.close()


@needs_mosquitto
@tls_fails
@pytest.mark.parametrize(
    ("tls_broker", "changes", "reason"),
    [
        ("broker", {"ca_file": "stranger.pem"}, "certificate is not accepted: .*; check ca_file"),
        ("broker", {"ca_file": ""}, "its certificate is not accepted: .*; check ca_file"),
        (
            "old",
            {},
            "is not accepted: certificate has expired by the clock of this device",
        ),
        ("elsewhere", {}, "its certificate is not accepted: IP address mismatch"),
        (
            "broker",
            {"cert_file": "", "key_file": ""},
            "it asks for a certificate of this device; set cert_file|hung up",
        ),
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
        send(transport, NOTICE)

    assert "\n" not in str(caught.value)


@needs_mosquitto
@tls_fails
@pytest.mark.parametrize("tls_broker", ["vaguely"], indirect=True)
def test_an_authority_that_newer_pythons_refuse_is_told_as_such(
    tls_broker: Broker,
    certificates: Path,
    connect: Callable[..., MqttTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = ssl.create_default_context

    def as_in_3_13(**options: Any) -> ssl.SSLContext:
        context = usual(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_in_3_13)
    changes = {"ca_file": str(certificates / "vague.pem")}
    transport = connect(tls_broker.port, **tls_settings(certificates) | changes)

    with pytest.raises(OutputError) as caught:
        send(transport, NOTICE)

    assert str(caught.value).endswith(
        "its certificate is not accepted: CA cert does not include key usage extension; "
        "Python 3.13 and newer ask for it: make authority and certificates anew, "
        "as the guide shows under MQTT"
    )


@needs_mosquitto
def test_plain_talk_to_a_port_for_tls_gives_a_hint(
    tls_broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(tls_broker.port)

    with pytest.raises(OutputError, match="check port and tls"):
        send(transport, NOTICE)


@needs_mosquitto
@tls_fails
def test_tls_talk_to_a_plain_port_gives_a_hint(
    broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(broker.port, tls=True, patience=HASTY)

    with pytest.raises(OutputError, match="check port and tls"):
        send(transport, NOTICE)


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
