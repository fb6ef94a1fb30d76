"""Records the history of a machine while it is listened to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.history.minute import MINUTE_S, Minute, minute_of
from edge_asd.history.spectrum import log_spectrograph
from edge_asd.history.writer import HistoryWriter

if TYPE_CHECKING:
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["HistoryRecorder"]


class HistoryRecorder(Watcher):
    """Gathers minutes, and hands each one to the writer when it is over.

    What is heard belongs to the minute in which it is taken. A clock that is set ends a minute
    early; what follows is added to the minute that the clock then shows, whenever that was.

    Parameters
    ----------
    board : says what is so of machine and monitor
    writer : closed by :meth:`close`
    report : hears of the fault ``history``
    sample_rate_hz : of blocks and windows
    now_s : the clock of `board`
    """

    def __init__(
        self,
        board: StatusBoard,
        writer: HistoryWriter,
        report: Report,
        *,
        sample_rate_hz: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._writer = writer
        self._rate_hz = sample_rate_hz
        self._now_s = now_s
        self._fault = FaultLatch(report, "history")
        self._minute: Minute | None = None
        self._until_s = now_s()
        self._skipped = board.status.skipped_windows
        log_spectrograph(sample_rate_hz)

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Take the levels."""
        self._current(at).hear(audio, self._rate_hz)
        return ()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Take the scores and the spectrum."""
        power = log_spectrograph(self._rate_hz).mean_power(window.audio)
        self._current(at).score(window.result.score, window.result.branches, power)
        return ()

    def on_event(self, event: Event) -> None:
        """Keep what is durable."""
        if event.durable:
            self._current(event).events[event.event] += 1
            self._writer.put(event)

    def on_tick(self, at: Moment) -> Iterable[Event]:
        """Let time pass; at the end of a minute hand it over."""
        minute, status, now_s = self._current(at), self._board.status, self._now_s()
        # A monitor that hung for longer was as good as off.
        elapsed_s = min(now_s - self._until_s, float(MINUTE_S))
        self._until_s = now_s
        deaf = status.deaf(now_s)
        faults = [fault.fault for fault in status.faults]
        minute.pass_time(elapsed_s, status.state(now_s), faults, deaf=deaf)
        minute.threshold = status.threshold
        if not deaf and status.condition["hour"] is not None:
            minute.condition = status.condition["hour"]
        minute.skipped += status.skipped_windows - self._skipped
        self._skipped = status.skipped_windows
        if minute.start != minute_of(at.time):
            self._hand_over()
            self._minute = Minute(minute_of(at.time))
        problem = self._writer.problem
        self._fault.update(problem is not None, problem or "the history is kept again")
        return ()

    def close(self) -> None:
        """Keep what there is of the last minute."""
        self._hand_over()
        self._writer.close()

    def _current(self, at: Moment) -> Minute:
        if self._minute is None:
            self._minute = Minute(minute_of(at.time))
        return self._minute

    def _hand_over(self) -> None:
        if self._minute is not None and not self._minute.empty:
            self._writer.put(self._minute)
        self._minute = None
