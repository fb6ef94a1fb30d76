"""How the monitor's starts and ends went, on disk, for the next start.

A service manager starts a monitor again and again; people must hear of it once. The
record tells the first failed start in a row from the others, and a start after a power
cut or a crash from one after a clean end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event, FaultClearedEvent, FaultRaisedEvent, NoticeEvent
from edge_asd.events.fault import noticed
from edge_asd.events.fault_reporter import fault_raised
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.state.record import StateRecord, UtcTime
from edge_asd.state.writer import Write

__all__ = ["StartRecord"]

_ALIVE_EVERY_S = 300.0  # a write to a card that wears out
_AGAIN_AFTER = timedelta(hours=6)  # until what goes on is reported again


class SavedStarts(StateRecord):
    """Content of ``start.json``."""

    version: Literal[1] = 1
    running: bool = False  # since the last start; True at the next one: it did not end by itself
    alive: UtcTime | None = None  # when it was seen to run last
    failures: int = 0  # starts in a row that failed
    failing_since: UtcTime | None = None
    told: UtcTime | None = None  # when the failures were reported
    restart_told: UtcTime | None = None  # when a crash or a power cut was reported
    error: str = ""


class StartRecord(Watcher):
    """One monitor's record; watches it run.

    Parameters
    ----------
    utc : the time of day
    write : writes the record

    Attributes
    ----------
    heard : whether any sound came in this run
    """

    def __init__(
        self, path: Path, machine: str, utc: Callable[[], datetime], *, write: Write
    ) -> None:
        self._path = path
        self._write = write
        self._machine = machine
        self._utc = utc
        self._before = SavedStarts.load_or_set_aside(path) or SavedStarts()
        self._saved = self._before
        self._due_s = 0.0
        self.heard = False

    def failed(self, error: str) -> FaultRaisedEvent | None:
        """Note that a start failed; return the event of it, unless one was given lately."""
        now, before = self._utc(), self._saved
        tell = before.told is None or abs(now - before.told) >= _AGAIN_AFTER
        self._save(
            running=False,
            failures=before.failures + 1,
            failing_since=before.failing_since or now,
            told=now if tell else before.told,
            error=error,
        )
        if not tell:
            return None
        change = noticed("start", error, failures=self._saved.failures)
        return fault_raised(Moment(now, 0.0, self._machine), change)

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Note that the monitor runs; report at the first sound what was before."""
        if at.stream_time_s >= self._due_s:
            self._due_s = at.stream_time_s + _ALIVE_EVERY_S
            restart_told = self._saved.restart_told
            self._saved = SavedStarts()  # a start that gets sound ends a row of failures
            self._save(running=True, alive=self._utc(), restart_told=restart_told)
        if self.heard:
            return ()
        self.heard = True
        return tuple(self._events_before(self._before, at))

    def close(self) -> None:
        """Note that the monitor ended by itself."""
        if self._saved.running:
            self._save(running=False)

    def _events_before(self, before: SavedStarts, at: Moment) -> Iterator[Event]:
        """Events about the time before the first sound."""
        since, alive, told = before.failing_since, before.alive, before.restart_told
        if before.told and since is not None:
            yield FaultClearedEvent(
                **at.facts(),
                fault="start",
                detail=f"it listens again after {before.failures} failed starts",
                duration_s=max((at.time - since).total_seconds(), 0.0),
                figures={"failures": before.failures},
            )
        if not before.running or alive is None:
            return
        if told is not None and abs(at.time - told) < _AGAIN_AFTER:
            return  # the watchdog of the system restarts a deaf monitor every few minutes
        self._save(restart_told=at.time)
        down_s = max((at.time - alive).total_seconds(), 0.0)
        yield NoticeEvent(
            **at.facts(),
            notice="restarted",
            text="the monitor had not ended by itself: a crash, a power cut or its watchdog; "
            f"up to {down_s:.0f} s were not heard",
            figures={"down_s": round(down_s, 1)},
        )

    def _save(self, **news: Any) -> None:
        self._saved = self._saved.model_copy(update=news)
        self._write(self._path, self._saved.to_bytes())
