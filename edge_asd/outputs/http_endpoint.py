"""A small web server with the state of the monitor and its metrics.

``/health``
    The verdict as JSON (:meth:`edge_asd.events.status.Status.to_dict`). 200 while the monitor is
    healthy; 503, with the same JSON, while it starts, is deaf, is impaired by any fault or
    hangs. An alarm about the machine is not a fault of the monitor: it stays 200.
``/metrics``
    The figures for Prometheus; :mod:`edge_asd.outputs.metrics` lists them.

Its pages hold no secrets and change nothing, so it asks for no password; it listens on the
loopback address unless the profile says otherwise. It ends connections that are slow, and
the oldest one when there are too many, which the servers of `prometheus_client` do not.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, ClassVar

from edge_asd.doctor.verdict import Verdict, warning
from edge_asd.errors import OutputError
from edge_asd.events.event import Event, strict_json
from edge_asd.events.fault import noticed
from edge_asd.events.status import Status
from edge_asd.outputs.output_section import OutputContext, OutputSection
from edge_asd.settings import Port

__all__ = ["HttpEndpoint", "HttpSettings"]

_LOGGER = logging.getLogger(__name__)

_MAX_CONNECTIONS = 32
_TIMEOUT_S = 10.0  # as long as Prometheus waits for an answer
_SILENCE_S = 2.0  # of a client that has something to say
_POLL_S = 0.1
_UNHEALTHY = HTTPStatus.SERVICE_UNAVAILABLE


class HttpSettings(OutputSection):
    """A web server that answers how the monitor is."""

    name: ClassVar[str] = "http"

    port: Port
    host: str

    @property
    def enabled(self) -> bool:
        return bool(self.port)

    def open(self, context: OutputContext) -> HttpEndpoint | None:
        try:
            return HttpEndpoint(self, context.status)
        except OutputError as error:  # no reason not to listen to the machine
            context.report(noticed("output", str(error), subject=self.name))
            return None

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            found = f"/health and /metrics answer on {self.host}:{self.port}"
            advice = "everybody in this network can read them; is that wanted?"
            yield warning("http", found, advice)


class HttpEndpoint(ThreadingTCPServer):
    """The web server, in a thread of its own; an output that takes no events.

    It serves a few connections at once, each for a limited time, and a new one takes the place of
    the oldest: clients that only hold theirs shut nobody out. ``service_actions`` runs
    several times a second in the listening thread and ends what has lasted too long: a time-out
    per read alone would let a client drip one byte at a time.

    Parameters
    ----------
    settings : port 0 for any free one
    status : gives the monitor's status; called from the server's threads
    clock : the monotonic clock of that status

    Raises
    ------
    OutputError
        When it cannot listen there.
    """

    name = "http"
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128  # more at once would wait for a second before they try again

    def __init__(
        self,
        settings: HttpSettings,
        status: Callable[[], Status],
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        from edge_asd.outputs.metrics import Metrics

        self.health: Callable[[], dict[str, Any]] = lambda: status().to_dict(clock())
        self.metrics = Metrics(status, clock=clock)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()  # guards the following
        self._answered = self._displaced = 0
        self._open: dict[socket.socket, float] = {}  # since when, the oldest first
        address = settings.host, settings.port
        try:
            self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
            super().__init__(address, _Handler)
        except (OSError, UnicodeError) as error:
            code = getattr(error, "errno", None)
            reason = os.strerror(code) if code and code > 0 else str(error)
            raise OutputError(
                f"cannot serve /health and /metrics at {settings.host}:{settings.port}: {reason}; "
                "choose another sinks.http.port or sinks.http.host"
            ) from error
        self.port: int = self.server_address[1]  # the one that it got
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_S,), name="http", daemon=True
        )
        self._thread.start()
        _LOGGER.info("/health and /metrics are at http://%s:%d", settings.host, self.port)

    def emit(self, event: Event) -> None:
        """Do nothing: the pages show the status."""

    def counters(self) -> dict[str, int]:
        """Requests answered (``sent``) and connections ended for newer ones (``dropped``)."""
        return {"sent": self._answered, "dropped": self._displaced, "waiting": 0}

    def close(self) -> None:
        """Stop listening and end all connections."""
        self.shutdown()
        self.server_close()
        self._end_older_than(0.0)
        self._thread.join()

    def count_answer(self) -> None:
        """Count a request that was answered. Thread: any."""
        with self._lock:
            self._answered += 1

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            if len(self._open) >= _MAX_CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                self._displaced += 1
                _hang_up(oldest)
            self._open[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self._end_older_than(self._timeout_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _LOGGER.debug("a request of %s failed", client_address, exc_info=True)

    def _end_older_than(self, age_s: float) -> None:
        now_s = time.monotonic()
        with self._lock:
            for request, since_s in self._open.items():
                if now_s - since_s >= age_s:
                    _hang_up(request)


def _hang_up(request: socket.socket) -> None:
    with suppress(OSError):  # it has just ended by itself
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: HttpEndpoint
    timeout = _SILENCE_S
    server_version = "edge-asd"
    sys_version = ""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/health":
                known = self.server.health()
                self._answer_json(HTTPStatus.OK if known["healthy"] else _UNHEALTHY, known)
            case "/metrics":
                page, content_type = self.server.metrics.page(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, page, content_type)
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "there are /health and /metrics")

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        if code == HTTPStatus.NOT_IMPLEMENTED:  # the base class knows no method for it
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "ask with GET", Allow="GET, HEAD")
        else:
            super().send_error(code, message, explain)

    def log_message(self, format: str, *args: Any) -> None:
        _LOGGER.debug("%s: %s", self.address_string(), format % args)

    def _refuse(self, code: HTTPStatus, reason: str, **headers: str) -> None:
        self._answer_json(code, {"error": f"{code.phrase}: {reason}"}, **headers)

    def _answer_json(self, code: HTTPStatus, known: dict[str, Any], **headers: str) -> None:
        self._answer(code, f"{strict_json(known)}\n".encode(), "application/json", **headers)

    def _answer(self, code: HTTPStatus, page: bytes, content_type: str, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)
        self.server.count_answer()
