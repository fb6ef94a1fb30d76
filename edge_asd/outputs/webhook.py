"""Events to a web server: one POST of JSON per event.

Headers: ``Content-Type: application/json``, ``User-Agent: edge-asd/<version>``,
``Idempotency-Key: <id of the event>``, by which the server can drop a repeat, and
``Authorization: Bearer <token>`` where the profile names one. Whatever stands in the
address may be secret, so messages name the scheme, the host and the port alone.

============================  ==========================================================
Answer                        What follows
============================  ==========================================================
2xx                           delivered; the rest of the answer does not matter
408, 425, 429, 5xx, none      tried again; ``Retry-After`` in seconds is obeyed
401, 403, 407                 tried again: the token is wrong, not the event
3xx                           tried again, never followed: a token is for one server
404, 410                      tried again for a day, then given up: what takes the events
                              may be about to start
other 4xx                     refused: given up after some attempts
============================  ==========================================================

Messages quote the answer, without what it repeats of the address.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from difflib import get_close_matches
from http.client import HTTPConnection, HTTPException, responses
from typing import Annotated, ClassVar
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from pydantic import Field

from edge_asd import __version__
from edge_asd.doctor.verdict import Verdict, problem
from edge_asd.errors import EventRefusedError, OutputError, ProfileError
from edge_asd.events.event import EVENT_NAMES
from edge_asd.outputs import Envelope, Output
from edge_asd.outputs.certificates import certificate_problem
from edge_asd.outputs.output_section import OutputContext, OutputSection, reach_server
from edge_asd.settings import FilePath, WaitSeconds

__all__ = ["WebhookSettings", "WebhookTransport"]

_PORTS = {"http": 80, "https": 443}
# About the server or the token, not about the event.
_RETRIED = frozenset({401, 403, 407, 408, 425, 429})
# A server that starts, or is replaced, may answer so until all of it is there.
_REFUSED_FOR_S: Mapping[int, float] = {404: 86_400.0, 410: 86_400.0}
_MAX_RETRY_AFTER_S = 86_400.0
_MAX_ANSWER_BYTES = 65_536
_MAX_LOOKED_AT_BYTES = 4096  # of it, for words to quote
_MAX_QUOTED_CHARS = 200
_LEAST_SECRET_CHARS = 3  # shorter parts of an address are none, and occur in any text


class WebhookSettings(OutputSection):
    """A web server that gets a request per event."""

    name: ClassVar[str] = "webhook"
    secrets: ClassVar[tuple[str, ...]] = ("url", "token")
    private: ClassVar[tuple[str, ...]] = ("url",)

    url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+[^\s@]*)?$")]
    url_file: FilePath
    url_env: str
    events: Annotated[list[str], Field(max_length=100)]
    timeout_s: WaitSeconds
    token_file: FilePath
    token_env: str

    @property
    def enabled(self) -> bool:
        return bool(self.url or self.url_file or self.url_env)

    def open(self, context: OutputContext) -> Output:
        transport = WebhookTransport(
            self._address(context.environment),
            token=self.secret("token").read(context.environment),
            timeout_s=self.timeout_s,
        )
        for name in self.events:
            if name not in EVENT_NAMES:
                nearest = get_close_matches(name, EVENT_NAMES, n=1, cutoff=0)[0]
                raise ProfileError(
                    f"sinks.webhook.events: unknown event {name!r}; did you mean {nearest!r}?"
                )
        return context.delivery(transport, lambda event: event.event in self.events)

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        try:
            address = self._address(environment)
        except ProfileError as error:
            if self.url:  # else the verdict about the secret says so
                yield problem("webhook", str(error), "correct it")
            return
        try:
            _, host, port, _ = _parts(address)
        except ProfileError:
            found = "its address is no http:// or https:// address"
            yield problem("webhook", found, "correct it")
            return
        # The path of a webhook is often a password; where all of it is, not even the host.
        yield reach_server(
            "webhook", host, port, shown=f"{host}:{port}" if self.url else "its server"
        )

    def _address(self, environment: Mapping[str, str]) -> str:
        key = "sinks.webhook.url"
        if self.url and (self.url_file or self.url_env):
            raise ProfileError(f"{key} and {key}_file or {key}_env are both set; keep one of them")
        return self.url or self.secret("url").read(environment)


class WebhookTransport:
    """Delivers events to one address.

    Parameters
    ----------
    url : ``http://`` or ``https://``; certificates of the system are required for the latter
    token : sent as bearer token; "" for none
    timeout_s : for everything: connecting, sending and the answer

    Raises
    ------
    ProfileError
        When `url` is not the address of a web server.
    """

    name = "webhook"

    def __init__(self, url: str, *, token: str = "", timeout_s: float = 10.0) -> None:
        self._scheme, self._host, self._port, self._target = _parts(url)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._place = f"{self._scheme}://{host}:{self._port}"
        self._secrets = _secrets(self._target, token)
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context() if self._scheme == "https" else None
        self._headers = {
            "Host": urlsplit(url).netloc,
            "Content-Type": "application/json",
            "User-Agent": f"edge-asd/{__version__}",
            "Connection": "close",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def send(self, envelope: Envelope) -> None:
        """POST the event; return when the server has said that it took it.

        Raises
        ------
        EventRefusedError
            When the server does not want this event.
        OutputError
            When there is no server, no answer in time, or not the right one.
        """
        deadline_s = time.monotonic() + self._timeout_s
        try:
            status, retry_after, content = self._post(envelope, deadline_s)
        except (OSError, HTTPException) as error:
            if isinstance(error, TimeoutError) or time.monotonic() >= deadline_s:
                said = f"{self._place} did not answer in {self._timeout_s:g} s"
                raise OutputError(said) from None
            raise OutputError(f"cannot reach {self._place}: {_reason(error)}") from None
        if not 200 <= status < 300:
            raise self._complaint(status, retry_after, content)

    def close(self) -> None:
        """Do nothing: no connection outlives its event."""

    def _post(self, envelope: Envelope, deadline_s: float) -> tuple[int, str, bytes]:
        """Return the answer: its status, its Retry-After header, its content."""
        key = quote(envelope.id, safe="", errors="replace")
        headers = self._headers | {"Idempotency-Key": key}
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        with closing(connection):
            connection.sock = self._connected(deadline_s)
            with _ended_at(connection.sock, deadline_s):
                if isinstance(connection.sock, ssl.SSLSocket):
                    connection.sock.do_handshake()
                connection.request("POST", self._target, envelope.payload, headers)
                answer = connection.getresponse()
                said = b""
                # The verdict is in the status already; read so that the server can finish in peace.
                with suppress(OSError, HTTPException, ValueError):
                    if answer.chunked:
                        # http.client reads without end where the size of a chunk is negative.
                        said = answer.fp.read1(_MAX_ANSWER_BYTES).partition(b"\r\n")[2]
                    else:
                        said = answer.read(_MAX_ANSWER_BYTES)
        return answer.status, answer.headers.get("Retry-After", ""), said

    def _connected(self, deadline_s: float) -> socket.socket:
        plain = self._reached(deadline_s)
        if self._tls is None:
            return plain
        return self._tls.wrap_socket(
            plain, server_hostname=self._host, do_handshake_on_connect=False
        )

    def _reached(self, deadline_s: float) -> socket.socket:
        """Connect to the first address that answers: one time for all that the name has."""
        problem: OSError = TimeoutError()
        for *kind, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            plain = socket.socket(*kind)
            plain.settimeout(left_s)
            try:
                plain.connect(address)
            except OSError as error:
                plain.close()
                problem = error
                continue
            plain.settimeout(self._timeout_s)
            return plain
        raise problem

    def _complaint(self, status: int, retry_after: str, said: bytes) -> OutputError:
        answer = f"{self._place} answered {status} {responses.get(status, '')}".rstrip()
        if quoted := _quoted(said, self._secrets):
            answer = f"{answer} ({quoted})"
        if 300 <= status < 400:
            return OutputError(f"{answer}; put the address that it redirects to into the profile")
        if 400 <= status < 500 and status not in _RETRIED:
            patience_s = _REFUSED_FOR_S.get(status, 0.0)
            return EventRefusedError(f"{answer} to an event", patience_s=patience_s)
        plain = retry_after.isascii() and retry_after.isdigit()
        seconds = min(float(retry_after), _MAX_RETRY_AFTER_S) if plain else 0.0
        return OutputError(answer, retry_after_s=seconds)


def _reason(error: OSError | HTTPException) -> str:
    """Why a server cannot be reached; never a text of http.client, which may hold the address."""
    match error:
        case ssl.SSLCertVerificationError():
            advice = "put its authority among the system's certificates"
            return certificate_problem(error, advice=advice)
        case ssl.SSLError(reason=reason):
            return f"TLS failed: {reason or 'it hung up'}; is https:// right for this port?"
        case _:
            return getattr(error, "strerror", None) or type(error).__name__


@contextmanager
def _ended_at(connection: socket.socket, deadline_s: float) -> Iterator[None]:
    """End the connection at a time, so that a server cannot drip an answer for ever."""

    def end() -> None:
        with suppress(OSError):
            # Not that of SSLSocket, which is not made for two threads.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(max(deadline_s - time.monotonic(), 0.0), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _parts(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port, and path with query."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    host = parts.hostname
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in _PORTS or not host or parts.username is not None:
        raise ProfileError(
            "the address of sinks.webhook is not http://HOST or https://HOST with an optional "
            "port, path and query, in ASCII and without user name and password"
        )
    query = f"?{parts.query}" if parts.query else ""
    return parts.scheme, host, port or _PORTS[parts.scheme], f"{parts.path or '/'}{query}"


def _secrets(target: str, token: str) -> list[str]:
    """What an answer may repeat of a request and nobody else may read, the longest first."""
    parts = re.split(r"[/?&=;]", target)
    known = {*parts, *map(unquote, parts), *map(unquote_plus, parts), token}
    return sorted((part for part in known if len(part) >= _LEAST_SECRET_CHARS), key=len)[::-1]


def _quoted(said: bytes, secrets: Iterable[str]) -> str:
    """Return the beginning of an answer as one line of text without tags and secrets."""
    text = said[:_MAX_LOOKED_AT_BYTES].decode(errors="replace")
    text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    text = "".join(character for character in text if character.isprintable())
    for secret in secrets:
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}..."
