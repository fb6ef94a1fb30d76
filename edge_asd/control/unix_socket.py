"""Unix stream sockets that carry one line each way, wherever their path leads."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge_asd.errors import ControlError

__all__ = ["answers", "connected", "listening", "peer_uid", "read_line"]

_LONGEST_ADDRESS_BYTES = 107  # sun_path of unix(7) without its last zero
_CONNECT_TIMEOUT_S = 1.0
_BACKLOG = 8
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


def listening(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, for its owner alone.

    Its folder is made, if need be, and closed to others. A socket that a dead process left
    behind is replaced.

    Raises
    ------
    ControlError
        When a process listens there, when something else is there, or as the system does.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(stat.S_IRWXU)
            _remove_stale(path)
            # bind takes the rights of the file from the socket: no moment is open to others.
            os.fchmod(listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)
            with _address(path) as address:
                listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            reason = error.strerror or error
            raise ControlError(
                f"cannot listen at {path}: {reason}; name another folder with --state"
            ) from error
        stack.pop_all()
    return listener


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """Give a socket that is connected to the process that listens at `path`.

    Raises
    ------
    OSError
        FileNotFoundError or ConnectionRefusedError when nobody listens, BlockingIOError
        when too many wait to be heard.
    """
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        _address(path) as address,
    ):
        connection.settimeout(_CONNECT_TIMEOUT_S)
        connection.connect(address)
        yield connection


def answers(path: Path) -> bool:
    """Whether a process listens at `path`.

    Raises
    ------
    OSError
        When that cannot be found out: PermissionError for a socket of another user.
    """
    try:
        with connected(path):
            return True
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return False
    except (BlockingIOError, TimeoutError):
        return True  # busy


def peer_uid(connection: socket.socket) -> int:
    """Return the user whose process connected."""
    option = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(option)
    return int(uid)


def read_line(connection: socket.socket, *, most_bytes: int, timeout_s: float) -> bytes:
    """Return the first line that comes, without its end.

    Raises
    ------
    TimeoutError
        When the line is not complete in time, however slowly it comes.
    OSError
        When it is too long, or the connection ends before it does.
    """
    deadline_s = time.monotonic() + timeout_s
    received = bytearray()
    while b"\n" not in received:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        connection.settimeout(remaining_s)
        chunk = connection.recv(min(65_536, most_bytes + 1))
        if not chunk:
            raise ConnectionError("the connection ended before the line did")
        received += chunk
        if len(received) > most_bytes:
            raise OSError(errno.EMSGSIZE, f"the line is longer than {most_bytes} bytes")
    return bytes(received.partition(b"\n")[0])


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give what bind and connect take: the path, or a short one to the same place."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path} is not a socket; move it away")
    if answers(path):
        raise ControlError(f"another monitor answers at {path}; end it first")
    path.unlink(missing_ok=True)
