"""How the monitor's starts and ends went, on disk, for the next start.

A service manager starts a monitor again and again; people must hear of it once. The record
tells a wanted end from every other: an error, a crash, a kill, a power cut. Unwanted ends in a
row are counted until a run has scored for a minute; the more there were, the longer the pause
before the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import (
    Event,
    FaultClearedEvent,
    FaultRaisedEvent,
    NoticeEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.events.fault import noticed
from edge_asd.events.fault_reporter import fault_raised
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.state.record import CLOCKS_ARE_SET_FROM, StateRecord, UtcTime
from edge_asd.state.writer import Write
from edge_asd.system_files import boot_id

if TYPE_CHECKING:
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["LONGEST_PAUSE_S", "SavedStarts", "StartRecord", "last_end_of", "pause_s"]

_RESTART_S = 10.0  # the pause that the service manager makes itself, RestartSec= of the unit
LONGEST_PAUSE_S = 300.0

_ALIVE_EVERY_S = 15.0  # a write to a card that wears out; so exact is what was not heard
_STEADY_S = 60.0  # of scores, after which a row of unwanted ends is over
_AGAIN_AFTER = timedelta(hours=6)  # until what goes on is reported again
_CRASHED_WITHIN = timedelta(seconds=150)  # less than WatchdogSec= of the unit
_MOST_IN_A_ROW = 3  # restarts that are told before that


def pause_s(failures: int) -> float:
    """Seconds to wait after so many unwanted ends in a row; the service manager waits 10 more.

    The time between two starts is 10, 20, 40, 80, 160, 300, 300, ... s.
    """
    doublings = min(max(failures - 1, 0), 10)
    return float(min(_RESTART_S * 2**doublings, LONGEST_PAUSE_S)) - _RESTART_S


class SavedStarts(StateRecord):
    """Content of ``start.json``."""

    version: Literal[1] = 1
    running: bool = False  # since the last start; True at the next one: it did not end by itself
    stage: Literal["starting", "listening", "scoring"] = "starting"  # that the last run reached
    boot: str = ""  # of the system that the last run was on
    begun: UtcTime | None = None  # when it started
    alive: UtcTime | None = None  # when it heard something last
    unwanted_ends: int = 0  # ever
    failures: int = 0  # unwanted ends in a row
    failing_since: UtcTime | None = None
    told: UtcTime | None = None  # when the fault ``start`` was reported, while it is there
    restart_told: UtcTime | None = None  # when ``restarted`` was reported
    error: str = ""  # why the last run ended; "": it was wanted


def last_end_of(path: Path) -> str:
    """Return why the last run ended, or the one before that which runs; "" for a wanted end.

    Raises
    ------
    StateError
        When the record cannot be read.
    """
    saved = SavedStarts.load(path) or SavedStarts()
    row = f" ({saved.failures} such ends in a row)" if saved.failures > 1 else ""
    return f"{saved.error}{row}" if saved.error else ""


class StartRecord(Watcher):
    """One monitor's record; watches it run.

    Parameters
    ----------
    utc : the time of day
    write : writes the record
    boot : identifies this run of the system

    Attributes
    ----------
    before : what was saved before this start, with the end of the last run judged
    """

    def __init__(
        self,
        path: Path,
        machine: str,
        utc: Callable[[], datetime],
        *,
        write: Write,
        boot: str | None = None,
    ) -> None:
        self._path = path
        self._write = write
        self._machine = machine
        self._utc = utc
        self._boot = boot_id() if boot is None else boot
        self.before = self._judged(SavedStarts.load_or_set_aside(path) or SavedStarts())
        self._alive_due_s = -float("inf")
        self._heard = False
        self._scored_since_s: float | None = None
        self._saved = self.before
        alive = self.before.alive if self.before.failures else utc()
        self._save(running=True, stage="starting", boot=self._boot, begun=utc(), alive=alive)

    @property
    def failures(self) -> int:
        """Unwanted ends in a row, right before this start or with its end."""
        return self._saved.failures

    @property
    def crashes_in_a_row(self) -> int:
        """Unwanted ends right before this start, if the last was a crash soon after its start.

        A monitor that hears nothing is ended later, by its watchdog.
        """
        begun = self.before.begun
        soon = begun is not None and abs(self._utc() - begun) < _CRASHED_WITHIN
        return self.before.failures if self.before.running and soon else 0

    def crashed(self) -> FaultRaisedEvent | None:
        """Return the event of starts that ended without a word, unless one was given lately.

        Whatever ended them may end this one, too, before anything can be told.
        """
        return self._told_of(self.before.error)

    def ended(self) -> None:
        """Note an end that was wanted."""
        self._save(running=False, error="")

    def failed(self, error: str) -> FaultRaisedEvent | None:
        """Note an end that nobody wanted; return the event of it, unless one was given lately."""
        now, saved = self._utc(), self._saved
        news = saved.error and error != saved.error
        self._save(
            running=False,
            unwanted_ends=saved.unwanted_ends + 1,
            failures=saved.failures + 1,
            failing_since=saved.failing_since or now,
            told=None if news else saved.told,
            error=error,
        )
        return self._told_of(error)

    def on_event(self, event: Event) -> None:
        """Note that the monitor began, and that its end was wanted."""
        match event:
            case StartedEvent():
                self._save(stage="listening")
            case StoppedEvent() if not event.failed:
                self.ended()

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Note that the monitor hears; report at the first sound what was before."""
        if self._saved.running and at.stream_time_s >= self._alive_due_s:
            self._alive_due_s = at.stream_time_s + _ALIVE_EVERY_S
            self._save(alive=self._utc())
        if not self._heard:
            self._heard = True
            yield from self._restarted(at)

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Note that the monitor scores: first it is there again, then it stays."""
        if self._scored_since_s is None:
            self._scored_since_s = at.stream_time_s
            self._save(stage="scoring")
        steady = at.stream_time_s - self._scored_since_s >= _STEADY_S
        # One that scores a little and ends, again and again, is not there again.
        loops = self.before.stage == "scoring" and self.before.failures >= 2
        if self._saved.told and (steady or not loops):
            yield self._over(at)
            self._save(told=None, failing_since=None)
        if steady and self._saved.failures:
            self._save(failures=0, failing_since=None, restart_told=None)

    def _judged(self, saved: SavedStarts) -> SavedStarts:
        """The record, with an end of which the last run could say nothing itself."""
        if not saved.running:
            return saved
        same_boot = saved.boot in ("", self._boot)
        return saved.model_copy(
            update={
                "unwanted_ends": saved.unwanted_ends + 1,
                "failures": saved.failures + 1,
                "failing_since": saved.failing_since or self._utc(),
                "error": "it was killed, by its watchdog or for want of memory, or it crashed"
                if same_boot
                else "the power was cut, or the system was started again without stopping it",
            }
        )

    def _told_of(self, error: str) -> FaultRaisedEvent | None:
        now, told = self._utc(), self._saved.told
        if told is not None and abs(now - told) < _AGAIN_AFTER:
            return None
        self._save(told=now)
        change = noticed("start", error, failures=self._saved.failures)
        return fault_raised(Moment(now, 0.0, self._machine), change)

    def _over(self, at: Moment) -> FaultClearedEvent:
        since, failures = self._saved.failing_since, self._saved.failures
        known = since is not None and since >= CLOCKS_ARE_SET_FROM
        return FaultClearedEvent(
            **at.facts(),
            fault="start",
            detail=f"it listens again; starts or runs that failed before: {failures}",
            duration_s=max((at.time - since).total_seconds(), 0.0) if since and known else 0.0,
            figures={"failures": failures},
        )

    def _restarted(self, at: Moment) -> Iterator[NoticeEvent]:
        """Say that the last run did not end as wanted, unless that goes on and on."""
        before = self.before
        if not before.error or (before.stage == "starting" and not before.running):
            return  # a start that failed was no run, and is a fault of its own
        told = before.restart_told
        most = _MOST_IN_A_ROW if before.stage == "scoring" else 1
        if told and before.failures > most and abs(at.time - told) < _AGAIN_AFTER:
            return
        self._save(restart_told=at.time)
        figures: dict[str, float | int | str] = {"failures": before.failures}
        lost = "how long nothing was heard is not known, because the clock was set"
        if before.alive and before.alive <= at.time and before.alive >= CLOCKS_ARE_SET_FROM:
            figures["down_s"] = round((at.time - before.alive).total_seconds(), 1)
            lost = f"up to {figures['down_s']:.0f} s were not heard"
        yield NoticeEvent(
            **at.facts(),
            notice="restarted",
            text=f"the monitor had not ended as it should ({before.error}); {lost}",
            figures=figures,
        )

    def _save(self, **news: Any) -> None:
        self._saved = self._saved.model_copy(update=news)
        self._write(self._path, self._saved.to_bytes())
