"""Where a monitor keeps what must survive a restart: one folder per machine.

::

    <root>/<machine>/
        lock            held while a monitor runs
        control.sock    how other commands talk to it
        journal.sqlite3 events that some output still has to deliver, state of the alarm, faults
        start.json      how the last start went
        last_profile.json  the profile of the last start, for when the next one cannot be read
        daily.json      daily summaries of normal scores and levels
        history.db      what was heard: minutes, hours and days, and all durable events
        condition.json  what came since the enrolment, and the condition of the last day
        commissioning/  windows of a commissioning that is under way
        events/         one folder per alarm: audio, picture, JSON
        learned/        normal sound that was learned on site, in versions
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import socket
import stat
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from edge_asd.control.unix_socket import peer_uid
from edge_asd.errors import StateError, UsageError

__all__ = [
    "JOURNAL",
    "StateFolder",
    "folder_name",
    "lock_file",
    "require_name",
]

JOURNAL = "journal.sqlite3"  # in the folder of a machine

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,62}")
_STRAY = re.compile(r"\..+\.\d+")  # of edge_asd.state.atomic.atomic_file
_CLAIM_TIMEOUT_S = 1.0
_LONGEST_NAME = 100  # of a machine, in characters
_MOST_BYTES = 200  # of the same in UTF-8: file names have 255, and hold more than the name


def folder_name(machine: str) -> str:
    """Return a safe file name for a machine: its own name where that is one."""
    if _PLAIN.fullmatch(machine):
        return machine
    # "surrogatepass", because a command line may hold bytes that are no text.
    digest = hashlib.sha256(machine.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', machine)[:40]}-{digest}"


def require_name(machine: str) -> str:
    """Return the name of a machine that is new here, if people can read it.

    Raises
    ------
    UsageError
        When it is empty, too long, or holds what cannot be printed.
    """
    if machine.strip() != machine or not machine or not machine.isprintable():
        raise UsageError(f"{machine!r:.80} is no name for a machine; choose one such as pump-3")
    if len(machine) > _LONGEST_NAME:
        raise UsageError(
            f"the machine's name has {len(machine)} characters; choose one of {_LONGEST_NAME} "
            "at most"
        )
    if len(machine.encode()) > _MOST_BYTES:
        raise UsageError(
            f"the machine's name has {len(machine.encode())} bytes in UTF-8; choose one of "
            f"{_MOST_BYTES} at most"
        )
    return machine


def lock_file(path: Path) -> BinaryIO | None:
    """Open a file and lock it; None when another process has locked it.

    Raises
    ------
    OSError
        When it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{path.name} is a pipe or a device in place of a file")
    lock = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _claim(path: Path) -> socket.socket | None:
    """Claim a path, whatever becomes of the files there; None when another process has.

    The claim is an abstract address of unix(7), which other systems than Linux lack. What a
    stranger holds is no claim: it would keep the monitor from starting.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if sys.platform != "linux":
        return claim
    address = b"\0edge-asd/" + hashlib.sha256(os.fsencode(path.resolve())).digest()
    try:
        claim.bind(address)
        claim.listen()
    except OSError:
        claim.settimeout(_CLAIM_TIMEOUT_S)
        with suppress(OSError):
            claim.connect(address)
            if peer_uid(claim) in (0, os.geteuid()):
                claim.close()
                return None
    return claim


class StateFolder:
    """The folder of one machine, readable by its owner alone."""

    def __init__(self, root: Path, machine: str) -> None:
        self.machine = machine
        self.path = root / folder_name(machine)
        self.control_socket = self.path / "control.sock"
        self.journal = self.path / JOURNAL
        self.alarm_file = self.path / "alarm.json"  # of an earlier version
        self.daily_file = self.path / "daily.json"
        self.history_file = self.path / "history.db"
        self.condition_file = self.path / "condition.json"
        self.start_file = self.path / "start.json"
        self.fault_file = self.path / "faults.json"  # of an earlier version
        self.profile_file = self.path / "last_profile.json"
        self.events = self.path / "events"
        self.spool = self.path / "spool"  # of an earlier version
        self.learned = self.path / "learned"

    def make(self) -> None:
        """Make the folder.

        Raises
        ------
        StateError
            When it cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(stat.S_IRWXU)
        except OSError as error:
            raise self._unusable(error) from error

    def lock(self) -> ExitStack:
        """Make the folder and keep other monitors out of it until what is returned is closed.

        They are kept out, too, when the folder is removed meanwhile.

        Raises
        ------
        StateError
            When another monitor has it, or it cannot be written.
        """
        self.make()
        stack = ExitStack()
        try:
            lock = lock_file(self.path / "lock")
            claim = None if lock is None else _claim(self.path)
        except OSError as error:
            raise self._unusable(error) from error
        for held in (lock, claim):
            if held is not None:
                stack.enter_context(held)
        if lock is None or claim is None:
            stack.close()
            raise StateError(
                f"another monitor of {self.machine!r} is running ({self.path} is locked); "
                "end it first, or name another folder with --state"
            )
        self._remove_strays()
        return stack

    def _remove_strays(self) -> None:
        """Remove what a monitor left behind that was ended by force while it wrote."""
        with suppress(OSError):
            for path in self.path.iterdir():
                if _STRAY.fullmatch(path.name) and not path.is_dir():
                    path.unlink()

    def _unusable(self, error: OSError) -> StateError:
        return StateError(
            f"cannot use the state folder {self.path}: {error.strerror or error}; "
            "name another with --state"
        )
