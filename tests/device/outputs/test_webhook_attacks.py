"""A web server that means harm costs the monitor some time, and nothing else."""

from __future__ import annotations

import gzip
import resource
import socket
import time

import pytest
from device.reports import a_notice
from device.web_server import Behaviour, answers, says, web_server

from edge_asd.errors import EventRefusedError, OutputError
from edge_asd.outputs import Envelope
from edge_asd.outputs.webhook import WebhookTransport

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\n"
CHUNKED = NOT_FOUND + b"Transfer-Encoding: chunked\r\n\r\n"
FLOOD = b"x" * 1_000_000
MAX_MIB = 200
LOOPBACK = "127.0.0.1"


def error_of(behaviour: Behaviour, timeout_s: float = 0.5) -> OutputError:
    """Return what sending an event ends with, which must be soon and with little memory."""
    before_s, before_kib = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with web_server(behaviour) as server, pytest.raises(OutputError) as caught:
        WebhookTransport(server.url, timeout_s=timeout_s).send(Envelope.of(a_notice(1)))
    assert time.monotonic() - before_s < 60
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < MAX_MIB * 1024
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return caught.value


@pytest.mark.parametrize("size", [b"-1", b"-ffffffff", b"7fffffffffffffff", b"zz", b""])
@pytest.mark.parametrize("endless", [b"", FLOOD])
def test_impossible_sizes_of_chunks_are_not_believed(size: bytes, endless: bytes) -> None:
    error = error_of(says(CHUNKED + size + b"\r\n" + b"gone away", endless))

    assert isinstance(error, EventRefusedError)
    assert "404 Not Found" in str(error)


@pytest.mark.parametrize("length", [b"-5", b"9" * 5000, b"ten", b"99999999999999"])
def test_impossible_lengths_are_not_believed(length: bytes) -> None:
    error = error_of(says(NOT_FOUND + b"Content-Length: " + length + b"\r\n\r\n", FLOOD))

    assert isinstance(error, EventRefusedError)


@pytest.mark.parametrize(
    "endless", [FLOOD, b"X: y\r\n" * 1000, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000]
)
def test_an_endless_header_is_a_failure_to_be_tried_again(endless: bytes) -> None:
    error = error_of(says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 ", endless))

    assert not isinstance(error, EventRefusedError)


def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    header = NOT_FOUND + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)

    assert "404" in str(error_of(says(header + bomb)))


def test_an_answer_full_of_open_tags_is_quoted_in_no_time() -> None:
    before_s = time.process_time()

    error_of(says(NOT_FOUND + b"\r\n" + b"<" * 65_536))

    assert time.process_time() - before_s < 5


@pytest.mark.parametrize("said", ["9" * 400, "-1", "1e999", "nan", "²", "x" * 5000])
def test_an_impossible_retry_after_is_no_number_that_can_be_waited_for(said: str) -> None:
    header = f"HTTP/1.1 429 Slow\r\nRetry-After: {said}\r\n\r\n"

    assert 0 <= error_of(says(header.encode())).retry_after_s <= 86_400


def test_many_redirects_are_as_many_failures() -> None:
    error = error_of(answers(301, Location="http://127.0.0.1:1/elsewhere"))

    assert "put the address that it redirects to into the profile" in str(error)


def test_an_address_of_https_for_a_port_without_is_told_as_such() -> None:
    with (
        web_server() as server,
        pytest.raises(OutputError, match="is https:// right for this port"),
    ):
        url = server.url.replace("http:", "https:")
        WebhookTransport(url, timeout_s=5.0).send(Envelope.of(a_notice(1)))


def test_a_name_of_many_addresses_that_do_not_answer_has_one_time_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server((LOOPBACK, 0), backlog=0) as server:
        address = server.getsockname()
        crowd = [socket.socket() for _ in range(3)]
        for client in crowd:  # the queue is full: who connects now waits
            client.setblocking(False)
            client.connect_ex(address)
        found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: 500 * [found])
        before_s = time.monotonic()

        with pytest.raises(OutputError, match=r"did not answer in 0\.3 s"):
            WebhookTransport(f"http://crowded.example:{address[1]}/", timeout_s=0.3).send(
                Envelope.of(a_notice(1))
            )

        assert time.monotonic() - before_s < 60
        for client in crowd:
            client.close()
