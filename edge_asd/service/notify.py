"""Messages to systemd: ready, status, watchdog pings, stopping.

The watchdog of the service gets pings while audio arrives AND windows are scored. A monitor
without one of them sends none, and is started again; one that was started again in vain pings on
for a while, so that a microphone that stays dead does not start it every few minutes for ever.

Source: sd_notify(3), which is one datagram of ``NAME=value`` lines to a Unix socket.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event, StoppedEvent
from edge_asd.events.latch import Latch
from edge_asd.events.moment import Moment
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher

if TYPE_CHECKING:
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["ServiceNotifier", "notify_address", "wait_to_restart"]

_PINGS_PER_TIMEOUT = 3  # sd_watchdog_enabled(3) asks for two at least
_MOST_DOUBLINGS = 4  # of three minutes: 48
_LOOK_S = 1.0
_REPEAT_S = 5.0
_ALLOWED_US = 60_000_000

_log = logging.getLogger(__name__)


class ServiceNotifier(Watcher):
    """Reports to the service manager; silent where there is none.

    It says READY when the monitor begins, not when audio does: a missing sound card is a
    fault to report, not a failed start. A deaf monitor is started again when its time is over,
    which doubles with every start that brought no scores.

    Parameters
    ----------
    environment : ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are read
    board : what the monitor says of itself
    starts_in_vain : how many starts in a row, right before this one, brought no scores
    clock : seconds that never run backwards; that of the status
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        board: StatusBoard,
        *,
        starts_in_vain: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = notify_address(environment)
        timeout_s = _timeout_s(environment, os.getpid())
        self._ping_every_s = timeout_s and timeout_s / _PINGS_PER_TIMEOUT
        self._patience_s = (timeout_s or 0.0) * (2 ** min(starts_in_vain, _MOST_DOUBLINGS) - 1)
        self._board = board
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._audio_advanced = False
        self._scores_advanced = False
        self._advanced_at_s = clock()
        self._pinged_at_s = -float("inf")
        self._lock = threading.Lock()  # guards the following
        self._unreachable = Latch()
        self._unsent = {"READY": "1"}
        self._status = ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Note that audio came."""
        self._audio_advanced = self._audio_advanced or audio.shape[-1] > 0
        return ()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Note that a window was scored."""
        self._scores_advanced = True
        return ()

    def on_tick(self, at: Moment) -> Iterable[Event]:
        """Ping, while audio and scores come or there is time left to wait for them."""
        now_s = self._clock()
        if self._ping_every_s and now_s - self._pinged_at_s >= self._ping_every_s:
            advanced = self._audio_advanced and self._scores_advanced
            if advanced:
                self._audio_advanced = self._scores_advanced = False
                self._advanced_at_s, self._patience_s = now_s, 0.0
            late_s = now_s - self._advanced_at_s
            hop_s = self._board.status.hop_s
            not_due = self._audio_advanced and late_s < hop_s and hop_s > self._ping_every_s
            if advanced or not_due or late_s < self._patience_s:
                self._pinged_at_s = now_s
                self._audio_advanced = False
                with self._lock:
                    self._unsent["WATCHDOG"] = "1"
        self.tell()
        return ()

    def on_event(self, event: Event) -> None:
        """Tell that it begins, and that it ends: outputs that finish may take a while."""
        if isinstance(event, StoppedEvent):
            self._say_goodbye()
        else:
            self.tell()

    def tell(self) -> None:
        """Send what changed. Thread: any."""
        status = self._board.status
        faults = [fault.meaning for fault in status.faults]
        text = f"{status.machine}: {'; '.join([status.state(self._clock()), *faults])}"
        with self._lock:
            if self._stopping.is_set():
                return
            if text != self._status:
                self._status = self._unsent["STATUS"] = text
            self._send_unsent()
            if self._thread is None and self._address is not None:
                # Also while the monitor hangs its state must be true.
                self._thread = threading.Thread(target=self._go_on, name="systemd", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Send that the monitor stops, unless it was sent."""
        self._say_goodbye()
        if self._thread is not None:
            self._thread.join()
        self._socket.close()

    def _go_on(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self.tell()

    def _say_goodbye(self) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._stopping.set()
                self._unsent = {"STOPPING": "1", "STATUS": "stopping"}
                self._send_unsent()

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


def wait_to_restart(
    environment: Mapping[str, str], stop: threading.Event, seconds: float, why: str
) -> None:
    """Wait before the service manager starts this program again; not at all without one.

    systemd has grown pauses of its own (``RestartSteps=``, version 254), which never shrink
    again and of which older ones know nothing.
    """
    address = notify_address(environment)
    if address is None or seconds <= 0 or stop.is_set():
        return
    _log.warning("%s; it is tried again in %.0f s", why, seconds)
    end_s = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.setblocking(False)
        while (left_s := end_s - time.monotonic()) > 0 and not stop.is_set():
            # Neither a start nor an end that takes long, and no monitor that hangs.
            lines = (f"EXTEND_TIMEOUT_USEC={_ALLOWED_US}", "WATCHDOG=1", _status(why))
            with suppress(OSError):
                manager.sendto("\n".join(lines).encode(errors="replace"), address)
            stop.wait(min(left_s, _REPEAT_S))


def _status(text: str) -> str:
    return f"STATUS={text}".replace("\n", " ")


def notify_address(environment: Mapping[str, str]) -> str | None:
    """Return the service manager's socket as Python writes it; None where there is none."""
    address = environment.get("NOTIFY_SOCKET", "")
    if address.startswith("/"):
        return address
    return f"\0{address[1:]}" if address.startswith("@") else None


def _timeout_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the time without a ping after which this process is ended; None for no limit."""
    timeout_us = environment.get("WATCHDOG_USEC", "")
    watched_pid = environment.get("WATCHDOG_PID", str(pid))
    if not timeout_us.isdecimal() or int(timeout_us) == 0 or watched_pid != str(pid):
        return None
    return int(timeout_us) / 1e6
