"""A small web server that answers two questions: how are you, and what have you counted?

``/health``
    The verdict as JSON (:func:`edge_asd.outputs.health.verdict`). 200 while the monitor is
    healthy; 503, with the same JSON, while it starts, is deaf, is impaired by any fault or
    hangs. An alarm about the machine is not a fault of the monitor: it stays 200.
``/metrics``
    The figures for Prometheus; :mod:`edge_asd.outputs.metrics` lists them.

It has no secrets and takes no orders, so it asks for no password; it listens to this
computer alone unless the profile says otherwise. It ends connections that are slow, and refuses
too many at once, which the servers of `prometheus_client` do not.
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from edge_asd.doctor.verdict import Verdict, warning
from edge_asd.errors import OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import noticed
from edge_asd.monitor.status import Status
from edge_asd.outputs.health import strict_json, verdict
from edge_asd.outputs.output_section import OutputContext, OutputSection
from edge_asd.settings import Port

__all__ = ["HttpEndpoint", "HttpSettings"]

_LOGGER = logging.getLogger(__name__)

_MAX_CONNECTIONS = 8
_TIMEOUT_S = 10.0  # as long as Prometheus waits for an answer
_POLL_S = 0.1

_Answer = tuple[HTTPStatus, bytes, str]


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


class HttpEndpoint:
    """The web server, in a thread of its own; an output that takes no events.

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

    def __init__(
        self,
        settings: HttpSettings,
        status: Callable[[], Status],
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        pages = _Pages(status, clock)
        self._server = _listening(settings, pages, timeout_s)
        self.port: int = self._server.server_address[1]  # the one that it got
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="http", daemon=True
        )
        self._thread.start()
        _LOGGER.info("/health and /metrics are at http://%s:%d", settings.host, self.port)

    def emit(self, event: Event) -> None:
        """Do nothing: whoever wants to know asks."""

    def counters(self) -> dict[str, int]:
        """Requests answered (``sent``) and connections turned away (``dropped``)."""
        return {"sent": self._server.answered, "dropped": self._server.refused, "waiting": 0}

    def close(self) -> None:
        """Stop listening and drop who is connected."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Pages:
    """What there is to see."""

    def __init__(self, status: Callable[[], Status], clock: Callable[[], float]) -> None:
        from edge_asd.outputs.metrics import Metrics

        self._status = status
        self._clock = clock
        self._metrics = Metrics(status, clock=clock)

    def answer(self, path: str, accept: str) -> _Answer:
        """Look up a page; `accept` is the request's Accept header."""
        match path.partition("?")[0]:
            case "/health":
                return self._health()
            case "/metrics":
                return HTTPStatus.OK, *self._metrics.page(accept)
            case _:
                return _refusal(HTTPStatus.NOT_FOUND, "there are /health and /metrics")

    def _health(self) -> _Answer:
        content = verdict(self._status(), self._clock())
        code = HTTPStatus.OK if content["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
        return code, f"{strict_json(content)}\n".encode(), "application/json"


def _refusal(code: HTTPStatus, reason: str) -> _Answer:
    content = {"error": f"{code.phrase}: {reason}"}
    return code, f"{strict_json(content)}\n".encode(), "application/json"


class _Server(ThreadingHTTPServer):
    """Serves few connections at once, and none for long.

    ``service_actions`` runs several times a second in the listening thread and ends what has
    lasted too long: a time-out per read alone would let a client drip one byte at a time.
    """

    daemon_threads = True
    allow_reuse_port = False
    request_queue_size = _MAX_CONNECTIONS

    def __init__(
        self,
        family: socket.AddressFamily,
        address: tuple[str, int],
        pages: _Pages,
        timeout_s: float,
    ) -> None:
        self.address_family = family
        self.pages = pages
        self.answered = 0
        self.refused = 0
        self._timeout_s = timeout_s
        self._open: dict[socket.socket, float] = {}  # since when
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up this computer's name, which can take long without a network.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "edge-asd", self.server_address[1]

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            if len(self._open) >= _MAX_CONNECTIONS:
                self.refused += 1
                return False
            self._open[request] = time.monotonic()
            return True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def count_answer(self) -> None:
        """Count an answer; called from every handler's thread."""
        with self._lock:
            self.answered += 1

    def service_actions(self) -> None:
        self._end_older_than(self._timeout_s)

    def server_close(self) -> None:
        super().server_close()
        self._end_older_than(0.0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _LOGGER.debug("a request of %s failed", client_address, exc_info=True)

    def _end_older_than(self, age_s: float) -> None:
        now_s = time.monotonic()
        with self._lock:
            for request, since_s in self._open.items():
                if now_s - since_s >= age_s:
                    with suppress(OSError):  # it has just ended by itself
                        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT_S
    server_version = "edge-asd"
    sys_version = ""

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.command not in ("GET", "HEAD"):
            self._send(_refusal(HTTPStatus.METHOD_NOT_ALLOWED, "ask with GET"))
            return False
        return True

    def do_GET(self) -> None:
        self._send(self.server.pages.answer(self.path, self.headers.get("Accept", "")))

    do_HEAD = do_GET  # noqa: N815

    def _send(self, answer: _Answer) -> None:
        code, content, content_type = answer
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if code is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.server.count_answer()

    def log_message(self, format: str, *args: Any) -> None:
        _LOGGER.debug("%s: %s", self.address_string(), format % args)


def _listening(settings: HttpSettings, pages: _Pages, timeout_s: float) -> _Server:
    place = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family = found[0][0]
        return _Server(family, (settings.host, settings.port), pages, timeout_s)
    except (OSError, UnicodeError) as error:
        code = getattr(error, "errno", None)
        reason = os.strerror(code) if code and code > 0 else str(error)
        raise OutputError(
            f"cannot serve /health and /metrics at {place}: {reason}; "
            "choose another sinks.http.port or sinks.http.host"
        ) from error
