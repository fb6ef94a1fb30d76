"""A real web server that behaves as badly as the test asks for, and deliveries to it."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from device.mailbox import delivery

from edge_asd.events.fault import FaultChange
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.webhook import WebhookTransport

Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Does what the server's script says next; 200 when nothing is left of it."""

    server: WebServer

    def do_POST(self) -> None:
        with self.server.lock:
            script = self.server.script
            behaviour = script.pop(0) if script else answers(200)
        behaviour(self)

    def content(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        content: dict[str, Any] = json.loads(body)
        self.server.requests.append((self.path, self.headers, content))
        return content

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class WebServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.script: list[Behaviour] = []
        self.requests: list[tuple[str, Message, dict[str, Any]]] = []
        self.taken: list[str] = []  # ids of events that were answered with 200
        self.lock = threading.Lock()
        self.released = threading.Event()  # ends what hangs

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def web_server(*script: Behaviour, port: int = 0) -> Iterator[WebServer]:
    with WebServer(port) as server:
        server.script += script
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@contextmanager
def delivered_to(
    url: str, news: list[FaultChange] | None = None, *, timeout_s: float = 30.0, **options: Any
) -> Iterator[Delivery]:
    pauses = {"pause_s": 0.002, "max_pause_s": 0.01}
    with delivery(WebhookTransport(url, timeout_s=timeout_s), news, **(pauses | options)) as output:
        yield output


def answers(status: int, **headers: str) -> Behaviour:
    def behave(handler: Handler) -> None:
        content = handler.content()
        if status == 200:
            handler.server.taken.append(content["id"])
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


def hangs(handler: Handler) -> None:
    """Read the event and say nothing."""
    handler.content()
    handler.server.released.wait(600)


def drips(handler: Handler) -> None:
    """Send one byte of an endless status line now and then."""
    handler.content()
    handler.wfile.write(b"HTTP/1.1 ")
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b"x")


def resets(handler: Handler) -> None:
    """Break the connection with RST."""
    handler.content()
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True


def hangs_up_in_the_middle_of_the_event(handler: Handler) -> None:
    handler.rfile.read(10)
    handler.close_connection = True


def answers_200_but_hangs_up_in_its_body(handler: Handler) -> None:
    handler.server.taken.append(handler.content()["id"])
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"tha")
    handler.close_connection = True


def answers_200_but_drips_its_body(handler: Handler) -> None:
    handler.server.taken.append(handler.content()["id"])
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b"x")


def talks_nonsense(handler: Handler) -> None:
    handler.content()
    handler.wfile.write(b"220 mail.example.org ESMTP /hook\r\n")
    handler.close_connection = True


def says(answer: bytes, endless: bytes = b"") -> Behaviour:
    """Send these bytes, then others again and again until the client hangs up."""

    def behave(handler: Handler) -> None:
        handler.content()
        handler.close_connection = True
        handler.wfile.write(answer)
        while endless and not handler.server.released.is_set():
            handler.wfile.write(endless)

    return behave
