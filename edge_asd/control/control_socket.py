"""How other commands talk to a running monitor: one JSON line each way, on a Unix socket.

::

    {"command": "ack", "arguments": {"note": "bearing ordered"}}   -> the monitor
    {"result": {"alarm_id": "pump-20261122T083005000Z"}}           <- or {"error": "..."}

Only the owner of the monitor and root can connect. The threads of the server never touch
the monitor: they queue what was asked, and wait until the monitor polls and answers.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_asd.control.unix_socket import connected, listening, peer_uid, read_line
from edge_asd.errors import ControlError

__all__ = ["ControlServer", "Request", "ask", "plain_text"]

_MOST_REQUESTS = 8  # at once
_MOST_REQUEST_BYTES = 64 * 1024
_MOST_REPLY_BYTES = 1024 * 1024
_MOST_CHARACTERS = 200  # of a text in a request
_REQUEST_TIMEOUT_S = 2.0
_REPLY_TIMEOUT_S = 15.0  # the monitor answers between two windows; a slow one takes seconds
_MARGIN_S = 5.0  # so that the server says first why there is no reply
_PAUSE_S = 1.0
_CLOSE_DEADLINE_S = 1.0
_LOOK_EVERY_S = 5.0  # whether somebody has removed the file of the socket
_ROOT_UID = 0

_log = logging.getLogger(__name__)


class Request:
    """One request; whoever polled it answers once. Thread: any."""

    def __init__(self, command: str, arguments: Mapping[str, Any]) -> None:
        self.command = command
        self.arguments = arguments
        self._answer: Future[dict[str, Any]] = Future()

    def reply(self, content: dict[str, Any], /) -> None:
        """Answer; `content` is what :func:`ask` returns on the other side."""
        self._set({"result": content})

    def refuse(self, message: str, /) -> None:
        """Answer with an error: one line."""
        self._set({"error": message})

    def _set(self, answer: dict[str, Any]) -> None:
        with suppress(InvalidStateError):  # the first answer counts
            self._answer.set_result(answer)

    def _take(self) -> bool:
        """Whether somebody still waits for the answer; from now on it has to come."""
        return self._answer.set_running_or_notify_cancel()

    def _wait(self, timeout_s: float) -> dict[str, Any]:
        """Return the answer; a request that nobody took in time is never carried out."""
        try:
            return self._answer.result(timeout_s)
        except TimeoutError:
            if self._answer.cancel():
                return {"error": "the monitor is busy and did nothing; try again"}
            return {"error": "the monitor is busy with the request; see 'edge-asd alarms' later"}


class ControlServer:
    """The socket of one monitor and the threads that listen to it.

    Parameters
    ----------
    path : of the socket; readable by its owner alone, like its folder
    reply_timeout_s : how long a client waits for a monitor that does not poll
    settled : waits until what a request has changed will survive; called before the answer is sent,
        by a thread that nobody else waits for

    Raises
    ------
    ControlError
        When another monitor answers there, or the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        request_timeout_s: float = _REQUEST_TIMEOUT_S,
        reply_timeout_s: float = _REPLY_TIMEOUT_S,
        settled: Callable[[], object] = lambda: None,
    ) -> None:
        self._path = path
        self._request_timeout_s = request_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._settled = settled
        self._users = frozenset({_ROOT_UID, os.geteuid()})
        self._waiting: queue.Queue[Request] = queue.Queue(_MOST_REQUESTS)
        self._free = threading.BoundedSemaphore(_MOST_REQUESTS)
        self._closing = threading.Event()
        self._listen()
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def poll(self) -> Request | None:
        """Return the next request, or None; never waits. Thread: the monitor's."""
        while True:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                return None
            if request._take():
                return request

    def close(self) -> None:
        """Refuse what waits and take the socket away."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._is_there():
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._thread.join(_CLOSE_DEADLINE_S)
        self._listener.close()
        while (request := self.poll()) is not None:
            request.refuse("the monitor is stopping")

    def _accept(self) -> None:
        failing = False
        while not self._closing.is_set():
            try:
                with suppress(TimeoutError):
                    self._welcome(self._listener.accept()[0])
                if not (self._closing.is_set() or self._is_there()):
                    self._listener.close()
                    self._listen()
                    _log.warning("%s was removed, and is there again", self._path)
                failing = False
            except (OSError, RuntimeError, ControlError) as error:  # Runtime: no thread to be had
                if not self._closing.is_set() and not failing:
                    _log.warning("requests of other commands cannot be heard: %s", error)
                failing = True
                self._closing.wait(_PAUSE_S)

    def _listen(self) -> None:
        self._listener = listening(self._path)
        self._listener.settimeout(_LOOK_EVERY_S)
        self._inode = self._path.lstat().st_ino

    def _is_there(self) -> bool:
        """Whether the socket's file is still its own."""
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    def _welcome(self, connection: socket.socket) -> None:
        if not self._free.acquire(blocking=False):
            with connection, suppress(OSError):
                _send(connection, {"error": "too many commands talk to the monitor; try again"})
            return
        try:
            threading.Thread(
                target=self._converse, args=(connection,), name="control request", daemon=True
            ).start()
        except RuntimeError:
            self._free.release()
            connection.close()
            raise

    def _converse(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):  # whoever asked may have gone
                _send(connection, self._answer(connection))
        finally:
            self._free.release()

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        if peer_uid(connection) not in self._users:
            return {"error": "the monitor belongs to another user"}
        try:
            line = read_line(
                connection, most_bytes=_MOST_REQUEST_BYTES, timeout_s=self._request_timeout_s
            )
            request = _parsed(line)
            self._waiting.put_nowait(request)
        except TimeoutError:
            return {"error": f"no request came within {self._request_timeout_s:g} s"}
        except OSError as error:
            return {"error": f"no request came: {error.strerror or error}"}
        except ControlError as error:
            return {"error": str(error)}
        except queue.Full:
            return {"error": "too many requests wait for the monitor, which is busy; try again"}
        answer = request._wait(self._reply_timeout_s)
        if request.command != "status":
            self._settled()
        return answer


def ask(
    path: Path,
    command: str,
    *,
    timeout_s: float = _REPLY_TIMEOUT_S + _MARGIN_S,
    **arguments: object,
) -> dict[str, Any]:
    """Return what the monitor that listens at `path` answers.

    Raises
    ------
    ControlError
        When no monitor runs, when it belongs to another user, when it refuses, or when it
        does not answer in time.
    """
    try:
        with connected(path) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused unread: see why
                _send(connection, {"command": command, "arguments": _plain_texts(arguments)})
            line = read_line(connection, most_bytes=_MOST_REPLY_BYTES, timeout_s=timeout_s)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise ControlError(
            f"no monitor runs: nobody answers at {path}; start one with 'edge-asd listen'"
        ) from None
    except PermissionError:
        raise ControlError(
            f"{path} belongs to another user; ask as that user, or as root"
        ) from None
    except (BlockingIOError, TimeoutError):
        raise ControlError(f"the monitor is busy: it does not answer at {path}") from None
    except OSError as error:
        raise ControlError(
            f"the monitor at {path} cannot be asked: {error.strerror or error}"
        ) from error
    return _result(line, path)


def plain_text(text: str, most_characters: int = _MOST_CHARACTERS) -> str:
    """Return a text as one line that can be shown anywhere: no control characters, not long."""
    line = " ".join(text.split())
    return "".join(filter(str.isprintable, line))[:most_characters]


def _plain_texts(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: plain_text(value) if isinstance(value, str) else value
        for name, value in content.items()
    }


def _send(connection: socket.socket, content: Mapping[str, Any]) -> None:
    connection.settimeout(_REQUEST_TIMEOUT_S)
    connection.sendall(json.dumps(content, default=str).encode() + b"\n")


def _parsed(line: bytes) -> Request:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise ControlError("the request is not JSON") from None
    match content:
        case {"command": str(command), "arguments": dict(arguments)}:
            return Request(plain_text(command), _plain_texts(arguments))
    raise ControlError("the request is not an object with a command and arguments")


def _result(line: bytes, path: Path) -> dict[str, Any]:
    try:
        # JSON knows no NaN; a level of silence may be one.
        content = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        content = None
    match content:
        case {"result": dict(result)}:
            return _plain_texts(result)
        case {"error": str(message)}:
            raise ControlError(plain_text(message, 1000))
    raise ControlError(f"what answers at {path} is not a monitor of this version")
