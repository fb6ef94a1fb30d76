"""Keeps the book of a machine's promise and its condition index, in a file, and says them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field

from edge_asd.bundle.manifest import PromiseSpec, ThresholdSpec
from edge_asd.drift.book import MONTH_S, EnrolmentBook
from edge_asd.drift.condition_index import DAY, HOUR, NormalTail, RecentRarity
from edge_asd.events.event import (
    AlarmAcknowledgedEvent,
    AlarmRaisedEvent,
    Event,
    NoticeEvent,
    utc_text,
)
from edge_asd.events.moment import Moment
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.state.record import StateRecord
from edge_asd.state.writer import Write

if TYPE_CHECKING:
    from edge_asd.learn.opened_machine import OpenedMachine
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["Bookkeeper", "Enrolment"]

_SAVE_EVERY_S = 900.0  # memory cards wear out; a crash loses so much of the counts
_JUDGE_EVERY_S = 600.0  # of the stream

Kept = Callable[[ThresholdSpec, PromiseSpec], tuple[ThresholdSpec, PromiseSpec]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What a machine is judged by, and what was promised of it."""

    name: str  # of the enrolment; a new one begins a new book
    scored_by: str  # rarities of other scores cannot be compared
    threshold: ThresholdSpec
    promise: PromiseSpec | None
    tail: NormalTail
    taught: tuple[str, ...] = ()  # ids of alarms that count as normal

    @classmethod
    def of(cls, opened: OpenedMachine, kept: Kept | None = None) -> Enrolment:
        """Return that of a machine.

        Parameters
        ----------
        kept : what the device makes of a threshold and its promise; None: keeps them
        """
        threshold, promise = opened.detector.spec.threshold, opened.detector.spec.promise
        if promise is not None and kept is not None:
            threshold, promise = kept(threshold, promise)
        return cls(
            name=opened.enrolment,
            scored_by=opened.scored_by,
            threshold=threshold,
            promise=promise,
            tail=opened.normal_tail,
            taught=opened.taught,
        )


class Accounts(StateRecord):
    """Content of ``condition.json``."""

    model_config = ConfigDict(frozen=False)

    format_version: Literal[1] = 1
    scored_by: str  # what gave the scores that `recent` is made of
    book: EnrolmentBook
    recent: RecentRarity = Field(default_factory=RecentRarity)


class Bookkeeper(Watcher):
    """Counts since the enrolment, compares them with the promise, and gives the condition index.

    Parameters
    ----------
    board : gets ``condition`` and ``since_enrolment`` of the status
    file : where they are kept; None: nowhere
    write : writes that file
    sample_rate_hz : of the windows
    kept : see :meth:`Enrolment.of`
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        enrolment: Enrolment,
        board: StatusBoard,
        *,
        file: Path | None,
        write: Write | None = None,
        sample_rate_hz: int,
        kept: Kept | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enrolment = enrolment
        self._board = board
        self._file = file
        self._rate_hz = sample_rate_hz
        self._kept = kept
        self._clock = clock
        self._saved_s = clock()
        self._judged_s = -math.inf
        self._heard_until_s = 0.0  # of the stream
        self._write = write
        self._accounts = (Accounts.load_or_set_aside(file) if file else None) or _begun(enrolment)
        self._take_up(enrolment)

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Go on with what is known now; another enrolment begins a new book."""
        self._take_up(Enrolment.of(opened, self._kept))
        self._save()
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        """Begin to count sound anew."""
        self._heard_until_s = at.stream_time_s
        return ()

    def on_event(self, event: Event) -> None:
        """Book alarms, and who answered them."""
        if isinstance(event, AlarmRaisedEvent):
            self._accounts.book.raised(event.alarm_id, event.time)
        elif isinstance(event, AlarmAcknowledgedEvent):
            self._accounts.book.acknowledged(event.alarm_id)
        else:
            return
        self._show(event.time)
        self._save()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Take a window; say when reality contradicts the promise."""
        score = window.result.score
        window_s = window.audio.shape[1] / self._rate_hz
        heard_s = min(max(at.stream_time_s - self._heard_until_s, 0.0), window_s)
        self._heard_until_s = at.stream_time_s
        if state == "commissioning" or not math.isfinite(score):
            return ()
        book = self._accounts.book
        book.take(at.time, state, heard_s, above=score > self._enrolment.threshold.threshold)
        self._accounts.recent.add(at.time, self._enrolment.tail.rarity(score), heard_s)
        events: list[Event] = []
        if abs(at.stream_time_s - self._judged_s) >= _JUDGE_EVERY_S:
            self._judged_s = at.stream_time_s
            events = self._judge(at)
        self._show(at.time)
        if events or self._clock() - self._saved_s >= _SAVE_EVERY_S:
            self._save()
        return events

    def close(self) -> None:
        """Keep what was counted."""
        self._save()

    def _take_up(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment
        if self._accounts.book.enrolment != enrolment.name:
            self._accounts = _begun(enrolment)
        if self._accounts.scored_by != enrolment.scored_by:
            self._accounts.scored_by = enrolment.scored_by
            self._accounts.recent = RecentRarity()
        self._accounts.book.taught(enrolment.taught)
        self._show(None)

    def _judge(self, at: Moment) -> list[Event]:
        promise, threshold = self._enrolment.promise, self._enrolment.threshold
        if promise is None:
            return []
        found = self._accounts.book.contradictions(at.time, threshold, promise)
        return [self._notice(at, promise, found)] if found else []

    def _notice(self, at: Moment, promise: PromiseSpec, found: Sequence[str]) -> NoticeEvent:
        figures = self._figures(at.time)
        days = figures["heard_hours"] / 24
        longer = "" if promise.trust == "measured" else " --watch 3d"
        promised = f"promised {promise.false_alarms_per_month:.2g} a month ({promise.trust})"
        text = (
            f"more {' and '.join(found)} than promised: {figures['alarms_counted']} alarms that "
            f"were taught, or that nobody acknowledged, in {days:.1f} days of listening, "
            f"{promised}; {figures['share_above']:.2%} of the windows above the threshold, "
            f"promised {figures['promised_share']:.2%}; unless the machine is not well, enrol "
            f"again: edge-asd enroll --machine {quote(at.machine)}{longer}"
        )
        known = {name: value for name, value in figures.items() if value is not None}
        return NoticeEvent(**at.facts(), notice="promise", text=text, figures=known)

    def _figures(self, at: datetime) -> dict[str, Any]:
        book, promise = self._accounts.book, self._enrolment.promise
        windows = book.windows
        figures: dict[str, Any] = {
            "since": utc_text(book.since) if book.since else None,
            "heard_hours": round(windows.heard_s / 3600, 2),
            "windows": windows.n,
            "windows_above": windows.above,
            "share_above": round(windows.above / windows.n, 6) if windows.n else None,
            "alarms": book.n_alarms,
            "promised_share": self._enrolment.threshold.false_alarm_rate,
        }
        if promise is not None:
            figures |= {
                "alarms_counted": book.false_alarms(at, promise),
                "promised_alarms_per_month": promise.false_alarms_per_month,
                "promised_alarms": round(
                    promise.false_alarms_per_month * windows.heard_s / MONTH_S, 4
                ),
                "kept": book.told is None,
            }
        return figures

    def _show(self, at: datetime | None) -> None:
        """Put the figures into the status; `at` None: before the first window."""
        now = at or self._accounts.book.since
        recent, tail = self._accounts.recent, self._enrolment.tail
        condition: dict[str, float | None] = {"hour": None, "day": None}
        for name, period in (("hour", HOUR), ("day", DAY)):
            index = None if at is None else recent.index(tail, at, period)
            condition[name] = None if index is None else round(index, 1)
        self._board.status = replace(
            self._board.status,
            condition=condition,
            since_enrolment={} if now is None else self._figures(now),
        )

    def _save(self) -> None:
        self._saved_s = self._clock()
        if self._file is not None and self._write is not None:
            self._write(self._file, self._accounts.to_bytes())


def _begun(enrolment: Enrolment) -> Accounts:
    return Accounts(scored_by=enrolment.scored_by, book=EnrolmentBook(enrolment=enrolment.name))
