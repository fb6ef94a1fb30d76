"""What must arrive and what must be remembered, on disk before anybody hears of it.

The monitor hands over events and memory and goes on; a thread of the outbox writes them. An
output delivers an event once it is on disk. While the disk fails, or has not answered for two
seconds, outputs get events from memory, and these are written as soon as the disk takes them.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge_asd.events.event import Event
from edge_asd.events.fault import FaultChange, Report, noticed
from edge_asd.outputs import Envelope
from edge_asd.outputs.journal import Content, Journal, Waiting, is_damage
from edge_asd.outputs.old_spool import OldSpool
from edge_asd.state.disk_health import DiskHealth
from edge_asd.state.folder import StateFolder

__all__ = ["Outbox"]

_log = logging.getLogger(__name__)

_PATIENCE_S = 2.0  # so long outputs wait for the disk
_OPENING_S = 10.0  # so long a start waits for what is on disk
_RETRIES_S = (0.0, 0.2, 0.5, 5.0)  # pauses after failures in a row; the last one from then on
_SUBJECT = "journal"


@dataclass(slots=True)
class _Entry:
    envelope: Envelope
    outputs: set[str]  # that still have to deliver it


@dataclass(frozen=True, slots=True)
class _Change:
    """What is written at once."""

    events: list[Waiting]
    gone: list[str]
    memory: dict[str, bytes]


class Outbox:
    """Events that wait for outputs, and memory by name, with a thread that writes them.

    Parameters
    ----------
    path : of the journal; None: everything is kept in the process alone
    report : called with faults from any thread; it must neither wait nor call back
    old_spool : folder of files that an earlier version may have left
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        path: Path | None,
        report: Report,
        *,
        old_spool: Path | None = None,
        patience_s: float = _PATIENCE_S,
        journal: Callable[[Path], Journal] = Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._report = report
        self._old_spool = OldSpool(old_spool)
        self._patience_s = patience_s
        self._clock = clock
        self._health = DiskHealth(clock=clock)
        self._changed = threading.Condition()  # guards all of the following
        self._entries: dict[str, _Entry] = {}  # by id, the oldest first
        self._dirty: dict[str, float] = {}  # ids that are not on disk as they are, since when
        self._writing: dict[str, float] = {}  # those that the disk was given
        self._memory: dict[str, bytes] = {}
        self._unsaved: set[str] = set()  # names of memory
        self._stored: dict[str, list[Envelope]] = {}  # by output: what it was not given yet
        self._listeners: list[Callable[[], None]] = []
        self._late_memory: dict[str, bytes] = {}
        self._loaded = path is None
        self._started = False
        self._gathering = False  # what belongs together is not complete
        self._asked_at_s: float | None = None  # what the disk has not done yet
        self._failures = 0  # in a row
        self._retry_at_s = 0.0
        self._begin_anew = False  # the file was damaged while it was in use
        self._closing = False
        if path is not None:
            self._thread = threading.Thread(
                target=self._run, args=(journal(path),), name="outbox", daemon=True
            )
            self._thread.start()
            with self._changed:
                self._changed.wait_for(self._opened, _OPENING_S)
                self._started = True

    @classmethod
    def below(cls, folder: StateFolder | None, report: Report) -> Self:
        """Return the outbox of a machine; without a folder it keeps nothing on disk."""
        if folder is None:
            return cls(None, report)
        return cls(folder.journal, report, old_spool=folder.spool)

    @property
    def folder(self) -> Path | None:
        """The folder of the journal."""
        return self._path.parent if self._path else None

    @property
    def problem(self) -> str | None:
        """Why something cannot be written, or is not; None: all is well. Thread: any."""
        return self._health.problem

    @contextmanager
    def together(
        self, events: Iterable[Event] = (), memory: Mapping[str, bytes] | None = None
    ) -> Iterator[None]:
        """Write what outputs `keep` within, these events and this memory, in one transaction."""
        with self._changed:
            self._gathering = True
            for event in events:
                with suppress(Exception):  # each output will say that it cannot be written
                    self._entry(event)
            if memory and self._path is not None:
                self._memory.update(memory)
                self._unsaved.update(memory)
        try:
            yield
        finally:
            with self._changed:
                self._gathering = False
                self._changed.notify_all()

    def keep(self, output: str, event: Event) -> Envelope:
        """Note that an output has to deliver an event; return that as it is delivered."""
        with self._changed:
            entry = self._entry(event)
            if entry is None:
                return Envelope.of(event)
            entry.outputs.add(output)
            self._touch(event.id)
            return entry.envelope

    def done(self, output: str, event_id: str) -> None:
        """Note that an output has delivered an event, or has given it up."""
        with self._changed:
            entry = self._entries.get(event_id)
            if entry is None:
                return
            entry.outputs.discard(output)
            if not entry.outputs:
                del self._entries[event_id]
            self._touch(event_id)

    def hold_s(self, event_id: str) -> float:
        """For how long at most to wait until what is known of an event is on disk."""
        with self._changed:
            since_s = self._dirty.get(event_id, self._writing.get(event_id))
            if since_s is None:
                return 0.0
            if self._asked_at_s is not None:
                since_s = min(since_s, self._asked_at_s)
            return max(since_s + self._patience_s - self._clock(), 0.0)

    def settled(self) -> bool:
        """Wait until everything is on disk, as long as outputs would; return whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._dirty or self._unsaved) and self._asked_at_s is None,
                self._patience_s,
            )

    def stored(self, output: str) -> list[Envelope]:
        """Return once what an output has had to deliver since before the start."""
        with self._changed:
            return self._stored.pop(output, [])

    def memory(self, name: str) -> bytes | None:
        """Return what was remembered under a name."""
        with self._changed:
            return self._memory.get(name)

    def late_memory(self, name: str) -> bytes | None:
        """Return once what was remembered before the start, and could not be read then."""
        with self._changed:
            return self._late_memory.pop(name, None)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` from the thread of the outbox whenever something was written."""
        with self._changed:
            self._listeners.append(listener)

    def close(self, deadline_s: float = 1.5) -> None:
        """Write what is not on disk; returns after `deadline_s` at the latest."""
        if self._path is None:
            return
        with self._changed:
            self._closing = True
            self._retry_at_s = 0.0
            self._changed.notify_all()
        self._thread.join(deadline_s)
        with self._changed:
            n_lost = sum(event_id in self._entries for event_id in self._writing | self._dirty)
        if n_lost:
            _log.warning("%d events that were not delivered are not on disk either", n_lost)

    def _opened(self) -> bool:
        return self._loaded or self._failures >= len(_RETRIES_S)

    def _entry(self, event: Event) -> _Entry | None:
        """The entry of an event, made if there is none; None for what is not kept."""
        if self._path is None or not event.durable:
            return None
        entry = self._entries.get(event.id)
        if entry is None:
            entry = self._entries[event.id] = _Entry(Envelope.of(event), set())
            self._touch(event.id)
        return entry

    def _touch(self, event_id: str) -> None:
        self._dirty.setdefault(event_id, self._clock())
        self._changed.notify_all()

    def _run(self, journal: Journal) -> None:
        while (change := self._next()) is not None:
            try:
                with self._health.writing(str(journal.path)):
                    if self._loaded:
                        self._write(journal, change)
                    else:
                        self._load(journal)
            except (OSError, sqlite3.Error) as error:
                self._failed(error)
            except Exception as error:  # else nothing would be written any more
                _log.exception("the journal failed unexpectedly")
                self._failed(error)
            for listener in list(self._listeners):
                listener()
        journal.close()

    def _next(self) -> _Change | None:
        """Wait for something to write; None at the end."""
        with self._changed:
            while True:
                wait_s = self._retry_at_s - self._clock() if self._failures else 0.0
                waits = bool(self._dirty or self._unsaved or self._failures or not self._loaded)
                if waits and wait_s <= 0 and not self._gathering:
                    break
                if self._closing and not (waits and wait_s <= 0):
                    return None
                self._changed.wait(wait_s if wait_s > 0 else None)
            if self._asked_at_s is None:
                self._asked_at_s = self._clock()
            return self._change() if self._loaded else _Change([], [], {})

    def _change(self) -> _Change:
        if self._failures:  # the file may be another one by now
            self._dirty = dict.fromkeys(self._entries, self._clock()) | self._dirty
            self._unsaved = set(self._memory)
        self._writing, self._dirty = self._dirty, {}
        names, self._unsaved = self._unsaved, set()
        entries = [self._entries.get(event_id) for event_id in self._writing]
        return _Change(
            [
                (entry.envelope, frozenset(entry.outputs))
                for entry in entries
                if entry and entry.outputs
            ],
            [event_id for event_id in self._writing if event_id not in self._entries],
            {name: self._memory[name] for name in names},
        )

    def _write(self, journal: Journal, change: _Change) -> None:
        if self._begin_anew:
            aside = journal.replace(change.events, change.memory)
            _log.warning("%s was damaged and is kept as %s", journal.path, aside)
        elif change.events or change.gone or change.memory or self._failures:
            journal.write(change.events, change.gone, change.memory, with_room=self._failures > 0)
        with self._changed:
            for event_id in self._writing:
                entry = self._entries.get(event_id)
                if entry is not None and not entry.outputs:  # it had to wait for the memory alone
                    del self._entries[event_id]
            self._writing = {}
            self._begin_anew = False
            self._succeeded()

    def _load(self, journal: Journal) -> None:
        content = journal.load(give_up=self._failures >= len(_RETRIES_S))
        if taken_over := self._old_spool.read():
            content.events = _joined([*taken_over, *content.events])
            journal.write(content.events, (), {})
        self._old_spool.remove()
        content.n_lost += self._old_spool.n_lost
        with self._changed:
            earlier = {
                envelope.id: _Entry(envelope, set(outputs)) for envelope, outputs in content.events
            }
            self._entries = earlier | self._entries
            for envelope, outputs in content.events:
                for output in outputs:
                    self._stored.setdefault(output, []).append(envelope)
            if self._started:
                self._late_memory = content.memory
            self._memory = content.memory | self._memory
            self._loaded = True
            self._succeeded()
            if content.n_lost:
                self._report(_lost(content))

    def _succeeded(self) -> None:
        self._asked_at_s = None
        self._failures = 0
        self._health.reason = None
        self._changed.notify_all()

    def _failed(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        with self._changed:
            self._dirty, self._writing = self._writing | self._dirty, {}
            self._begin_anew = self._loaded and is_damage(error)
            pause_s = _RETRIES_S[min(self._failures, len(_RETRIES_S) - 1)]
            self._failures += 1
            self._retry_at_s = self._clock() + pause_s
            if self._loaded:
                told = f"cannot write {self._path}: {reason}; a restart loses events that wait"
            else:
                told = (
                    f"cannot read {self._path}: {reason}; events and the alarm of before the "
                    "start are not known"
                )
            self._health.reason = told
            self._changed.notify_all()


def _joined(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Each event once, for all outputs that it waits for; ids of one machine sort by time."""
    events: dict[str, Envelope] = {}
    outputs: dict[str, frozenset[str]] = {}
    for envelope, names in waiting:
        events[envelope.id] = envelope
        outputs[envelope.id] = outputs.get(envelope.id, frozenset()) | names
    return [(events[event_id], outputs[event_id]) for event_id in sorted(events)]


def _lost(content: Content) -> FaultChange:
    what = "" if content.memory else " and the state of the alarm"
    where = f"; what could not be read is in {content.aside}" if content.aside else ""
    return noticed(
        "events_lost",
        f"at least {content.n_lost} events of before the start{what} may be missing in every "
        f"output: their file was damaged{where}",
        subject=_SUBJECT,
        lost=content.n_lost,
    )
