"""Events reach a web server, however it behaves."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device.made_events import SCORE
from device.reports import a_notice
from device.waiting import wait_until
from device.web_server import (
    Handler,
    answers,
    answers_200_but_drips_its_body,
    answers_200_but_hangs_up_in_its_body,
    delivered_to,
    drips,
    hangs,
    hangs_up_in_the_middle_of_the_event,
    resets,
    talks_nonsense,
    web_server,
)

from edge_asd import __version__
from edge_asd.errors import EventRefusedError, OutputError, ProfileError
from edge_asd.events.fault import FaultChange
from edge_asd.outputs import Envelope
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.webhook import WebhookTransport

TIMEOUT_S = 0.5


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]


def test_an_event_is_posted_with_its_id_and_the_token() -> None:
    event = replace(a_notice(1), machine="Pumpe Süd/3")
    with web_server() as server:
        WebhookTransport(f"{server.url}/a%20b?key=1", token="s3cret").send(Envelope.of(event))

        (path, headers, content), *_ = server.requests
    assert path == "/hook/a%20b?key=1"
    assert content == event.to_dict()
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"edge-asd/{__version__}"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"
    assert (
        headers["Idempotency-Key"] == f"Pumpe%20S%C3%BCd%2F3{event.id.removeprefix(event.machine)}"
    )


def test_without_a_token_nothing_is_authorized() -> None:
    with web_server() as server:
        WebhookTransport(server.url).send(Envelope.of(a_notice(1)))

        assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize("status", [400, 404, 409, 410, 413, 422])
def test_an_answer_about_the_event_is_a_refusal(status: int) -> None:
    with web_server(answers(status)) as server, pytest.raises(EventRefusedError, match=str(status)):
        WebhookTransport(server.url).send(Envelope.of(a_notice(1)))


@pytest.mark.parametrize("status", [401, 403, 407, 408, 425, 429, 500, 502, 503, 599, 301, 308])
def test_an_answer_about_the_server_is_a_failure_to_be_tried_again(status: int) -> None:
    with (
        web_server(answers(status)) as server,
        pytest.raises(OutputError, match=str(status)) as seen,
    ):
        WebhookTransport(server.url).send(Envelope.of(a_notice(1)))

    assert not isinstance(seen.value, EventRefusedError)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120.0), ("soon", 0.0), ("-1", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("", 0.0)],
)
def test_what_a_busy_server_asks_for_is_passed_on(said: str, seconds: float) -> None:
    with (
        web_server(answers(429, Retry_After=said)) as server,
        pytest.raises(OutputError) as seen,
    ):
        WebhookTransport(server.url).send(Envelope.of(a_notice(1)))

    assert seen.value.retry_after_s == seconds


@pytest.mark.parametrize("behaviour", [hangs, drips])
def test_a_server_that_never_finishes_its_answer_is_left_in_time(behaviour: Any) -> None:
    with web_server(behaviour) as server:
        begin_s = time.monotonic()
        with pytest.raises(OutputError, match=r"127\.0\.0\.1:\d+ did not answer in 0\.5 s$"):
            WebhookTransport(server.url, timeout_s=TIMEOUT_S).send(Envelope.of(a_notice(1)))

    assert time.monotonic() - begin_s < 60


@pytest.mark.parametrize("behaviour", [resets, hangs_up_in_the_middle_of_the_event, talks_nonsense])
def test_a_connection_that_breaks_is_a_failure_to_be_tried_again(behaviour: Any) -> None:
    with (
        web_server(behaviour) as server,
        pytest.raises(OutputError, match=r"cannot reach http://127\.0\.0\.1:\d+: \w+") as seen,
    ):
        WebhookTransport(server.url).send(Envelope.of(a_notice(1)))

    assert "hook" not in str(seen.value)
    assert not isinstance(seen.value, EventRefusedError)


@pytest.mark.parametrize(
    "behaviour", [answers_200_but_hangs_up_in_its_body, answers_200_but_drips_its_body]
)
def test_a_server_that_said_yes_has_the_event_whatever_it_does_then(behaviour: Any) -> None:
    with web_server(behaviour) as server:
        begin_s = time.monotonic()
        WebhookTransport(server.url, timeout_s=TIMEOUT_S).send(Envelope.of(a_notice(1)))

        assert time.monotonic() - begin_s < 60
        assert server.taken == ids(1)


def test_a_redirect_is_not_followed_so_that_the_token_stays_with_its_server() -> None:
    with web_server() as other:
        redirect = answers(307, Location=other.url)
        with web_server(redirect) as server, pytest.raises(OutputError, match="307"):
            WebhookTransport(server.url, token="s3cret").send(Envelope.of(a_notice(1)))

        assert other.requests == []


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        drips,
        resets,
        talks_nonsense,
        hangs_up_in_the_middle_of_the_event,
        *(answers(500), answers(429, Retry_After="0"), answers(401)),
    ],
)
def test_after_any_failure_every_event_arrives_once_and_in_order(behaviour: Any) -> None:
    timeout_s = TIMEOUT_S if behaviour in (hangs, drips) else 30.0
    with web_server(behaviour, answers(200), behaviour) as server:
        with delivered_to(server.url, timeout_s=timeout_s) as output:
            for number in range(4):
                output.emit(a_notice(number))
            wait_until(lambda: len(server.taken) == 4)

        assert server.taken == ids(0, 1, 2, 3)


def test_an_event_that_the_server_never_wants_does_not_stop_the_others() -> None:
    with web_server(*[answers(422)] * 3) as server:
        with delivered_to(server.url, attempts=3) as output:
            output.emit(a_notice(1))
            output.emit(a_notice(2))
            wait_until(lambda: server.taken)

        assert server.taken == ids(2)
        assert output.counters() == {"sent": 1, "dropped": 1, "lost": 1, "waiting": 0}


def test_while_the_server_is_away_nothing_is_lost_repeated_or_delayed(tmp_path: Path) -> None:
    news: list[FaultChange] = []
    with web_server() as server:
        port = server.server_port
    # Now nobody listens there.
    with delivered_to(
        f"http://127.0.0.1:{port}/", news, journal=tmp_path / "webhook.sqlite3", patience_s=0.05
    ) as output:
        begin_s = time.monotonic()
        for number in range(50):
            output.emit(a_notice(number))
        assert time.monotonic() - begin_s < 60
        wait_until(lambda: news)
        with web_server(port=port) as server:
            wait_until(lambda: len(news) == 2)

            assert server.taken == ids(*range(50))
    assert [(change.key, change.active) for change in news] == [
        ("output:webhook", True),
        ("output:webhook", False),
    ]
    assert news[0].detail == f"cannot reach http://127.0.0.1:{port}: Connection refused"
    assert news[1].figures == {"delivered_late": 50}


def test_a_server_that_hangs_does_not_delay_the_monitor() -> None:
    with (
        web_server(hangs, hangs, hangs) as server,
        delivered_to(server.url, timeout_s=TIMEOUT_S) as output,
    ):
        output.emit(SCORE)
        wait_until(lambda: server.requests)
        begin_s = time.monotonic()
        for _ in range(1000):
            output.emit(SCORE)

        assert time.monotonic() - begin_s < 60


@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_failures_and_restarts_delivers_every_event_once_and_in_order(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    failures = [resets, talks_nonsense, answers(500), answers(429), answers(403)]
    script = [chance.choice([answers(200), *failures]) for _ in range(60)]
    journal = tmp_path / "webhook.sqlite3"
    with web_server(*script) as server:
        for first in range(0, 60, 10):  # a restart after every ten
            with delivered_to(server.url, journal=journal) as output:
                for number in range(first, first + 10):
                    output.emit(a_notice(number))
        with delivered_to(server.url, journal=journal):
            wait_until(lambda: len(server.taken) == 60, deadline_s=30.0)

        assert server.taken == ids(*range(60))


_CHILD = """
import sys, threading
from pathlib import Path
from device.reports import a_notice
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.webhook import WebhookTransport

outbox = Outbox(Path(sys.argv[2]), print)
output = Delivery(WebhookTransport(sys.argv[1]), report=print, outbox=outbox)
with outbox.together():
    for number in range(5):
        output.emit(a_notice(number))
threading.Event().wait(600)
"""


def test_a_crash_right_after_delivery_repeats_this_one_event_and_no_other(tmp_path: Path) -> None:
    journal = tmp_path / "webhook.sqlite3"
    child: list[subprocess.Popen[bytes]] = []

    def takes_it_and_kills_the_sender(handler: Handler) -> None:
        handler.server.taken.append(handler.content()["id"])
        os.kill(child[0].pid, signal.SIGKILL)

    with web_server(answers(200), answers(200), takes_it_and_kills_the_sender) as server:
        arguments = [sys.executable, "-c", _CHILD, server.url, str(journal)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        child.append(subprocess.Popen(arguments, env=environment))
        assert child[0].wait(300) == -signal.SIGKILL

        with delivered_to(server.url, journal=journal):
            wait_until(lambda: len(server.taken) == 6)

        assert server.taken == ids(0, 1, 2, 2, 3, 4)


def test_an_unknown_certificate_is_not_trusted(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),  # Python 3.13 asks
            *("-days", "2", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with web_server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_port}/hook"

        with pytest.raises(OutputError, match="its certificate is not accepted: self-signed"):
            WebhookTransport(url, token="s3cret").send(Envelope.of(a_notice(1)))
        assert server.requests == []

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(certificate))
            WebhookTransport(url, token="s3cret").send(Envelope.of(a_notice(2)))
        assert server.taken == ids(2)


def test_a_handshake_that_drips_for_ever_is_left_in_time() -> None:
    released = threading.Event()

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.sendall(b"\x16\x03\x03\x40\x00")  # begins a long handshake message
            while not released.wait(0.05):
                with suppress(OSError):
                    client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/hook"
        with pytest.raises(OutputError, match=r"did not answer in 0\.5 s"):
            WebhookTransport(url, timeout_s=TIMEOUT_S).send(Envelope.of(a_notice(1)))
        released.set()
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/", "https://", "https:///path", "example.org/hook", ""),
        *("https://user:pw@example.org/", "https://example.org:99999/", "https://[::1/"),
        *("https://example.org/a b", "https://example.org/\r\nX: y", "https://exämple.org/"),
    ],
)
def test_an_impossible_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ProfileError, match=r"sinks\.webhook") as seen:
        WebhookTransport(url)

    assert "example.org" not in str(seen.value)
    assert "pw" not in str(seen.value)


def test_neither_address_nor_token_appears_in_logs_errors_or_faults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    news: list[FaultChange] = []
    script = [answers(500), hangs, resets, talks_nonsense, *[answers(422)] * 3]
    with web_server(*script) as server:
        transport = WebhookTransport(f"{server.url}/pa55", token="t0ken", timeout_s=TIMEOUT_S)
        output = Delivery(transport, report=news.append, outbox=None, pause_s=0.01)
        output.emit(a_notice(1))
        wait_until(lambda: news)
        output.close()

    told = caplog.text + repr(news) + repr(transport) + repr(output)
    assert "given up" in told
    assert "pa55" not in told
    assert "t0ken" not in told


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    with web_server() as server, delivered_to(server.url) as output:
        for number in range(5):
            output.emit(a_notice(number))
        wait_until(lambda: len(server.taken) == 5)

    wait_until(lambda: threading.active_count() <= before)
