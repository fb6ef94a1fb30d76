"""A small web server with the state of the monitor and its metrics.

``/health``
    The verdict as JSON (:func:`edge_asd.outputs.health.verdict`). 200 while the monitor is
    healthy; 503, with the same JSON, while it starts, is deaf, is impaired by any fault or
    hangs. An alarm about the machine is not a fault of the monitor: it stays 200.
``/metrics``
    The figures for Prometheus; :mod:`edge_asd.outputs.metrics` lists them.

Its pages hold no secrets and change nothing, so it asks for no password; it listens on the
loopback address unless the profile says otherwise. It ends connections that are slow, and refuses
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
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from edge_asd.doctor.verdict import Verdict, warning
from edge_asd.errors import OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import noticed
from edge_asd.events.status import Status
from edge_asd.outputs.health import strict_json, verdict
from edge_asd.outputs.output_section import OutputContext, OutputSection
from edge_asd.settings import Port

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

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
        self._pages = _Pages(status, clock)
        try:
            self._server = _Server(settings, self._pages, timeout_s)
        except (OSError, UnicodeError) as error:
            code = getattr(error, "errno", None)
            reason = os.strerror(code) if code and code > 0 else str(error)
            raise OutputError(
                f"cannot serve /health and /metrics at {settings.host}:{settings.port}: {reason}; "
                "choose another sinks.http.port or sinks.http.host"
            ) from error
        self.port: int = self._server.server_address[1]  # the one that it got
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="http", daemon=True
        )
        self._thread.start()
        _LOGGER.info("/health and /metrics are at http://%s:%d", settings.host, self.port)

    def emit(self, event: Event) -> None:
        """Do nothing: the pages show the status."""

    def counters(self) -> dict[str, int]:
        """Requests answered (``sent``) and connections turned away (``dropped``)."""
        return {"sent": self._pages.answered, "dropped": self._server.refused, "waiting": 0}

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Pages:
    """The pages, as a WSGI application."""

    def __init__(self, status: Callable[[], Status], clock: Callable[[], float]) -> None:
        from edge_asd.outputs.metrics import Metrics

        self.answered = 0
        self._lock = threading.Lock()  # guards the above
        self._status = status
        self._clock = clock
        self._metrics = Metrics(status, clock=clock)

    def __call__(self, request: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        code, content, content_type = self._answer(request)
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Server", "edge-asd"),
        ]
        if code is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        start_response(f"{code.value} {code.phrase}", headers)
        with self._lock:
            self.answered += 1
        return [b"" if request["REQUEST_METHOD"] == "HEAD" else content]

    def _answer(self, request: dict[str, Any]) -> _Answer:
        if request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "ask with GET")
        match request["PATH_INFO"]:
            case "/health":
                content = verdict(self._status(), self._clock())
                code = HTTPStatus.OK if content["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
                return code, _line(content), "application/json"
            case "/metrics":
                return HTTPStatus.OK, *self._metrics.page(request.get("HTTP_ACCEPT", ""))
            case _:
                return _refusal(HTTPStatus.NOT_FOUND, "there are /health and /metrics")


def _refusal(code: HTTPStatus, reason: str) -> _Answer:
    return code, _line({"error": f"{code.phrase}: {reason}"}), "application/json"


def _line(content: dict[str, Any]) -> bytes:
    return f"{strict_json(content)}\n".encode()


class _Server(ThreadingMixIn, WSGIServer):
    """Serves a few connections at once, each for a limited time.

    ``service_actions`` runs several times a second in the listening thread and ends what has
    lasted too long: a time-out per read alone would let a client drip one byte at a time.
    """

    daemon_threads = True
    allow_reuse_port = False
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, settings: HttpSettings, pages: _Pages, timeout_s: float) -> None:
        address = settings.host, settings.port
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        self.refused = 0
        self._timeout_s = timeout_s
        self._open: dict[socket.socket, float] = {}  # since when
        self._lock = threading.Lock()
        super().__init__(address, _Handler)
        self.set_app(pages)

    def server_bind(self) -> None:
        # HTTPServer would look up this computer's name, which can take long without a network.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "edge-asd", self.server_address[1]
        self.setup_environ()

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


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT_S
    server_version = "edge-asd"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:
        _LOGGER.debug("%s: %s", self.address_string(), format % args)
