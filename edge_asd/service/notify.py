"""Messages to systemd: ready, status, watchdog pings, stopping.

The watchdog of the service gets pings only while audio arrives AND windows are scored. A
monitor without one of them sends none, and is started again.

Source: sd_notify(3), which is one datagram of ``NAME=value`` lines to a Unix socket.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import (
    Event,
    FaultClearedEvent,
    FaultRaisedEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.events.latch import Latch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher

if TYPE_CHECKING:
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["ServiceNotifier"]

_PINGS_PER_TIMEOUT = 3  # sd_watchdog_enabled(3) asks for two at least

_log = logging.getLogger(__name__)


class ServiceNotifier(Watcher):
    """Reports to the service manager; silent where there is none.

    It says READY when the monitor begins, not when audio does: a missing sound card is a
    fault to report, not a failed start.

    Parameters
    ----------
    environment : ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are read
    clock : seconds that never run backwards
    """

    def __init__(
        self, environment: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._ping_every_s = _ping_every_s(environment, os.getpid())
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._unreachable = Latch()
        self._unsent = {"READY": "1"}
        self._status = ""
        self._machine = ""
        self._state = "starting"
        self._faults: dict[str, str] = {}
        self._audio_advanced = False
        self._scores_advanced = False
        self._pinged_at_s = -float("inf")
        self._stopping = False

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Note that audio came."""
        self._audio_advanced = self._audio_advanced or audio.shape[-1] > 0
        self._tell()
        return ()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Note that a window was scored, and what the alarm makes of it."""
        self._scores_advanced = True
        self._state = state
        self._tell()
        return ()

    def on_event(self, event: Event) -> None:
        """Note faults as they come and go."""
        self._machine = event.machine
        match event:
            case StartedEvent():
                self._state = event.state
            case FaultRaisedEvent():
                self._faults[event.fault] = event.meaning
            case FaultClearedEvent():
                self._faults.pop(event.fault, None)
            case StoppedEvent():  # outputs that finish may take a while
                self._say_goodbye()
                return
        self._tell()

    def close(self) -> None:
        """Send that the monitor stops, unless it was sent."""
        self._say_goodbye()
        self._socket.close()

    def _say_goodbye(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._unsent = {"STOPPING": "1", "STATUS": "stopping"}
            self._send_unsent()

    def _tell(self) -> None:
        status = f"{self._machine}: {'; '.join([self._state, *self._faults.values()])}"
        if self._machine and status != self._status:
            self._status = self._unsent["STATUS"] = status
        self._ping()
        self._send_unsent()

    def _ping(self) -> None:
        if self._ping_every_s is None or not (self._audio_advanced and self._scores_advanced):
            return
        now_s = self._clock()
        if now_s - self._pinged_at_s >= self._ping_every_s:
            self._pinged_at_s = now_s
            self._audio_advanced = self._scores_advanced = False
            self._unsent["WATCHDOG"] = "1"

    def _send_unsent(self) -> None:
        """Send what waits; it goes on waiting while systemd's socket is full or away."""
        if self._address is None or not self._unsent:
            self._unsent.clear()
            return
        lines = [f"{name}={value}".replace("\n", " ") for name, value in self._unsent.items()]
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if self._unreachable.update(True):
                _log.warning("cannot reach the service manager: %s", error.strerror)
        else:
            self._unreachable.update(False)
            self._unsent.clear()


def _address(notify_socket: str) -> str | None:
    """Return a socket's address as Python writes it; None for what is not a Unix socket."""
    if notify_socket.startswith("/"):
        return notify_socket
    return f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else None


def _ping_every_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the pause between pings; None when nobody watches this process."""
    timeout_us = environment.get("WATCHDOG_USEC", "")
    watched_pid = environment.get("WATCHDOG_PID", str(pid))
    if not timeout_us.isdecimal() or int(timeout_us) == 0 or watched_pid != str(pid):
        return None
    return int(timeout_us) / 1e6 / _PINGS_PER_TIMEOUT
