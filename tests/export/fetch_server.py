"""A web server on the loopback interface that serves zips, and misbehaves when told to."""

from __future__ import annotations

import io
import socket
import struct
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import soundfile

N_SAMPLES = 16_000


Fault = Callable[["Handler", bytes], None]


@dataclass
class Request:
    method: str
    path: str
    range: str | None
    encoding: str | None
    n_sent: int = 0


@dataclass
class Zenodo:
    """What the server holds, how it behaves, and what it was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)  # each spoils one answer to GET
    knows_ranges: bool = True
    range_shift: int = 0  # how far ahead of the range that was asked for answers begin
    tags: bool = True
    busy_answers: int = 0  # how often to answer with the status below
    busy_status: int = 503
    requests: list[Request] = field(default_factory=list)

    @property
    def gets(self) -> list[Request]:
        return [request for request in self.requests if request.method == "GET"]


class _Server(ThreadingHTTPServer):
    zenodo: Zenodo

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of some tests."""


class Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        zenodo = self.server.zenodo
        asked = Request(
            self.command, self.path, self.headers.get("Range"), self.headers.get("Accept-Encoding")
        )
        zenodo.requests.append(asked)
        if zenodo.busy_answers:
            zenodo.busy_answers -= 1
            self.send_error(zenodo.busy_status)
            return
        if (content := zenodo.files.get(self.path)) is None:
            self.send_error(404)
            return
        body = content
        if asked.range and zenodo.knows_ranges:
            start = int(asked.range.removeprefix("bytes=").removesuffix("-")) - zenodo.range_shift
            if start >= len(content):
                self.send_error(416)
                return
            body = content[start:]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if zenodo.tags:
            self.send_header("ETag", f'"md5:{md5(content).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            asked.n_sent = len(body)
            (zenodo.faults.popleft() if zenodo.faults else Handler.send)(self, body)

    def send(self, body: bytes) -> None:
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: stderr belongs to the command under test."""


def truncate(handler: Handler, body: bytes) -> None:
    """Half of what was promised, then a proper farewell."""
    handler.send(body[: len(body) // 2])


def reset(handler: Handler, body: bytes) -> None:
    """Half of what was promised, then the connection is reset."""
    handler.send(body[: len(body) // 2])
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


@contextmanager
def serving() -> Iterator[Zenodo]:
    with _Server(("127.0.0.1", 0), Handler) as server:
        server.zenodo = Zenodo(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.zenodo
        finally:
            server.shutdown()
            thread.join()


def wav(seed: int) -> bytes:
    """A clip of noise: two channels, one second, 64 kB that hardly pack."""
    noise = np.random.default_rng(seed).uniform(-1, 1, (N_SAMPLES, 2)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, 16_000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def train_files(machine: str) -> dict[str, bytes]:
    return {
        f"{machine}/attributes_00.csv": b"file_name\n",
        **{
            f"{machine}/train/section_00_source_train_normal_{i:04d}_noAttribute.wav": wav(i)
            for i in range(4)
        },
    }


def labelled_test_files(machine: str) -> dict[str, bytes]:
    return {
        f"{machine}/test/section_00_source_test_{label}_0000_noAttribute.wav": wav(10 + i)
        for i, label in enumerate(("normal", "anomaly"))
    }


def anonymous_test_files(machine: str) -> dict[str, bytes]:
    return {f"{machine}/test/section_00_{i:04d}.wav": wav(20 + i) for i in range(2)}
