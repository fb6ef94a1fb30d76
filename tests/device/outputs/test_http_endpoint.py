from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from device.reports import SILENT, UNREACHABLE, a_notice, a_status
from device.waiting import wait_until

from edge_asd.errors import OutputError
from edge_asd.events.status import Status
from edge_asd.outputs.http_endpoint import HttpEndpoint, HttpSettings

LOOPBACK = "127.0.0.1"
NOW_S = 100.5
SHORT_S = 0.3


@contextmanager
def serving(
    status: Callable[[], Status] = a_status, *, host: str = LOOPBACK, **options: Any
) -> Iterator[HttpEndpoint]:
    settings = HttpSettings(port=0, host=host)
    endpoint = HttpEndpoint(settings, status, **{"clock": lambda: NOW_S} | options)
    try:
        yield endpoint
    finally:
        endpoint.close()


def ask(
    endpoint: HttpEndpoint, path: str, *, method: str = "GET", host: str = LOOPBACK
) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection(host, endpoint.port, timeout=300)
    connection.request(method, path)
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response, content


def test_health_of_a_healthy_monitor_is_200_with_the_whole_status() -> None:
    with serving() as endpoint:
        response, content = ask(endpoint, "/health")

    known = json.loads(content)
    assert response is not None and response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert (known["healthy"], known["deaf"], known["stale"]) == (True, False, False)
    assert known["machine"] == "pump"
    assert known["score_age_s"] == 1.5


@pytest.mark.parametrize(
    ("status", "deaf"),
    [
        (a_status(capture="starting"), True),
        (a_status(capture="lost"), True),
        (a_status(faults=(SILENT,)), True),
        (a_status(faults=(UNREACHABLE,)), False),
    ],
)
def test_health_of_a_monitor_that_is_deaf_or_impaired_is_503(status: Status, deaf: bool) -> None:
    with serving(lambda: status) as endpoint:
        response, content = ask(endpoint, "/health")

    known = json.loads(content)
    assert response.status == 503
    assert (known["healthy"], known["deaf"]) == (False, deaf)
    assert [fault["fault"] for fault in known["faults"]] == [f.fault for f in status.faults]


def test_a_monitor_that_hangs_is_not_healthy_whatever_it_said_last() -> None:
    with serving(clock=lambda: 131.0) as endpoint:
        response, content = ask(endpoint, "/health")

    known = json.loads(content)
    assert response.status == 503
    assert (known["healthy"], known["deaf"], known["stale"]) == (False, True, True)


def test_an_alarm_about_the_machine_is_no_fault_of_the_monitor() -> None:
    with serving(lambda: a_status(alarm_state="acknowledged", alarm_id="pump-1")) as endpoint:
        response, content = ask(endpoint, "/health?full")

    assert response is not None and response.status == 200
    assert json.loads(content)["alarm"] is True


def test_digital_silence_gives_strict_json() -> None:
    silent = a_status(levels_dbfs={"near": float("-inf")})
    with serving(lambda: silent) as endpoint:
        _, content = ask(endpoint, "/health")

    known = json.loads(content, parse_constant=pytest.fail)
    assert known["levels_dbfs"] == {"near": None, "far": None}


def test_metrics_are_served_as_text_that_prometheus_knows() -> None:
    with serving() as endpoint:
        response, content = ask(endpoint, "/metrics")

    assert response is not None and response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert 'edge_asd_healthy{machine="pump"} 1.0' in content


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics/", "/../etc/passwd"])
def test_an_unknown_path_is_404_and_names_the_known_ones(path: str) -> None:
    with serving() as endpoint:
        response, content = ask(endpoint, path)

    assert response.status == 404
    assert "/health and /metrics" in json.loads(content)["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_another_method_is_405_and_names_the_allowed_ones(method: str) -> None:
    with serving() as endpoint:
        response, _ = ask(endpoint, "/health", method=method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_head_gives_the_code_without_the_content() -> None:
    with serving(lambda: a_status(capture="lost")) as endpoint:
        response, content = ask(endpoint, "/health", method="HEAD")

    assert response.status == 503
    assert content == ""
    assert int(response.headers["Content-Length"]) > 0


def test_the_server_does_not_say_what_it_is_made_of() -> None:
    with serving() as endpoint:
        response, _ = ask(endpoint, "/health")

    assert response.headers["Server"].strip() == "edge-asd"


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(OutputError, match=rf"127\.0\.0\.1:{port}: Address already in use; "):
            HttpEndpoint(HttpSettings(port=port, host=LOOPBACK), a_status)


def test_an_address_of_another_computer_is_an_error_that_names_it() -> None:
    with pytest.raises(OutputError, match=r"192\.0\.2\.1:8080: Cannot assign"):
        HttpEndpoint(HttpSettings(port=8080, host="192.0.2.1"), a_status)


def speaks_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not speaks_ipv6(), reason="no IPv6 on this computer")
def test_it_listens_to_version_6_addresses_too() -> None:
    with serving(host="::1") as endpoint:
        response, _ = ask(endpoint, "/health", host="::1")

    assert response is not None and response.status == 200


def test_a_client_that_says_nothing_is_dropped_in_time() -> None:
    with (
        serving(timeout_s=SHORT_S) as endpoint,
        socket.create_connection((LOOPBACK, endpoint.port), 300) as client,
    ):
        assert client.recv(100) == b""


def test_a_client_that_drips_is_dropped_in_time() -> None:
    with (
        serving(timeout_s=SHORT_S) as endpoint,
        socket.create_connection((LOOPBACK, endpoint.port), 300) as client,
    ):
        client.settimeout(0.05)

        wait_until(lambda: dropped_while_dripping(client), "the server hangs up")


def dropped_while_dripping(client: socket.socket) -> bool:
    try:
        client.sendall(b"G")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("said", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nX: "])
def test_a_crowd_of_clients_that_hold_their_connections_shuts_nobody_out(said: bytes) -> None:
    with serving() as endpoint:
        crowd = [socket.create_connection((LOOPBACK, endpoint.port), 300) for _ in range(100)]
        for client in crowd:
            with suppress(OSError):  # it has had to go already
                client.sendall(said)

        response, _ = ask(endpoint, "/health")
        dropped = endpoint.counters()["dropped"]
        for client in crowd:
            client.close()

    assert response.status == 200
    assert 69 <= dropped <= 101


def test_no_more_threads_than_connections_are_left_of_a_crowd() -> None:
    before = threading.active_count()
    with serving() as endpoint:
        crowd = [socket.create_connection((LOOPBACK, endpoint.port), 300) for _ in range(200)]
        wait_until(lambda: endpoint.counters()["dropped"] >= 168, "the oldest have to go")

        wait_until(lambda: threading.active_count() <= before + 33, "their threads end")
        for client in crowd:
            client.close()


def test_close_ends_the_listening_and_who_is_connected() -> None:
    with serving() as endpoint:
        client = socket.create_connection((LOOPBACK, endpoint.port), 300)
        ask(endpoint, "/health")

    with client:
        assert client.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, endpoint.port), 300)


def test_it_is_an_output_that_takes_every_event_and_counts_its_answers() -> None:
    with serving() as endpoint:
        endpoint.emit(a_notice(1))
        ask(endpoint, "/health")
        ask(endpoint, "/nothing")

        assert endpoint.name == "http"
        # An answer is counted after it was sent.
        answered = {"sent": 2, "dropped": 0, "waiting": 0}
        wait_until(lambda: endpoint.counters() == answered, "both answers are counted")
