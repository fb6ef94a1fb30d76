"""What a web server answers is told, and an event outlives a server that is being replaced."""

from __future__ import annotations

import pytest
from device.reports import a_notice
from device.waiting import wait_until
from device.web_server import Handler, answers, delivered_to, web_server

from edge_asd.errors import EventRefusedError
from edge_asd.outputs import Envelope
from edge_asd.outputs.webhook import WebhookTransport


@pytest.mark.parametrize("status", [404, 410])
def test_a_server_that_is_being_replaced_costs_no_event(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with web_server(*[answers(status)] * 20) as server:
        with delivered_to(server.url) as output:
            output.emit(a_notice(1))
            output.emit(a_notice(2))
            wait_until(lambda: len(server.taken) == 2)

        assert server.taken == [a_notice(1).id, a_notice(2).id]
    refused = f"is refused: http://127.0.0.1:{server.server_port} answered {status}"
    assert caplog.text.count(refused) == 1


def test_an_event_that_nobody_wanted_for_a_day_is_given_up() -> None:
    now_s = [0.0]
    with (
        web_server(*[answers(404)] * 20_000) as server,
        delivered_to(server.url, clock=lambda: now_s[0], pause_s=0.0) as output,
    ):
        output.emit(a_notice(1))
        wait_until(lambda: len(server.requests) > 5)
        now_s[0] = 86_399.0
        seen = len(server.requests)
        wait_until(lambda: len(server.requests) > seen + 2)
        assert output.counters()["lost"] == 0

        now_s[0] = 86_401.0
        wait_until(lambda: output.counters()["lost"] == 1)


def test_what_the_server_says_is_told_without_the_secrets_that_it_repeats() -> None:
    def says_where(handler: Handler) -> None:
        said = b"<h1>Cannot POST</h1>\n/hook/PA%2055\x1b[0m ?key=s3cr (t0ken, pa 55)" + b"." * 300
        handler.send_response(409)
        handler.send_header("Content-Length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    with web_server(says_where) as server, pytest.raises(EventRefusedError) as seen:
        transport = WebhookTransport(f"{server.url}/pa%2055?key=s3cr", token="t0ken")
        transport.send(Envelope.of(a_notice(1)))

    port = server.server_port
    assert str(seen.value).startswith(
        f"http://127.0.0.1:{port} answered 409 Conflict (Cannot POST /***/***[0m"
        " ?***=*** (***, ***)...."
    )
    assert len(str(seen.value)) < 300
