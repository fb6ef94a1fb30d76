"""How the monitor's starts and ends went, on disk, so that the next start knows.

A service manager starts a monitor again and again; people must hear of it once. The
record tells the first failed start in a row from the others, and a start after a power
cut or a crash from one after a clean end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import StateError
from edge_asd.events.event import Event, FaultClearedEvent, FaultRaisedEvent, NoticeEvent
from edge_asd.events.fault import FAULTS
from edge_asd.monitor.watcher import Moment, Watcher
from edge_asd.state.folder import read_json, write_atomically

__all__ = ["StartRecord"]

_VERSION = 1
_ALIVE_EVERY_S = 300.0  # a write to a card that wears out
_AGAIN_AFTER = timedelta(hours=6)  # until what goes on is told again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Record:
    running: bool = False  # since the last start; True after it: it did not end by itself
    alive: str | None = None  # UTC
    failures: int = 0  # starts in a row that failed
    failing_since: str | None = None  # UTC
    told: str | None = None  # UTC, when people heard of the failures
    restart_told: str | None = None  # UTC, when people heard of an end that was none
    error: str = ""
    version: int = _VERSION


class StartRecord(Watcher):
    """One monitor's record; watches it run.

    Parameters
    ----------
    utc : the time of day
    """

    def __init__(self, path: Path, machine: str, utc: Callable[[], datetime]) -> None:
        self._path = path
        self._machine = machine
        self._utc = utc
        self._record = _load(path)
        self._before = self._record
        self._due_s = 0.0
        self._heard = False

    @property
    def heard(self) -> bool:
        """Whether any sound came in this run."""
        return self._heard

    def failed(self, error: str) -> FaultRaisedEvent | None:
        """Note that a start failed; return what to tell people, if they do not know yet."""
        now = self._utc()
        told = _time(self._record.told)
        self._record = replace(
            self._record,
            running=False,
            failures=self._record.failures + 1,
            failing_since=self._record.failing_since or now.isoformat(),
            error=error,
        )
        tell = told is None or abs(now - told) >= _AGAIN_AFTER
        if tell:
            self._record = replace(self._record, told=now.isoformat())
        self._save()
        if not tell:
            return None
        fault = FAULTS["start"]
        return FaultRaisedEvent(
            **Moment(now, 0.0, self._machine).facts(),
            fault=fault.name,
            severity=fault.severity,
            meaning=fault.meaning,
            detail=error,
            figures={"failures": self._record.failures},
        )

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Note that it runs; say at the first sound how it got here."""
        if at.stream_time_s >= self._due_s:
            self._due_s = at.stream_time_s + _ALIVE_EVERY_S
            self._record = _Record(
                running=True,
                alive=self._utc().isoformat(),
                restart_told=self._record.restart_told,
            )
            self._save()
        if self._heard:
            return ()
        self._heard = True
        return tuple(self._story(self._before, at))

    def close(self) -> None:
        """Note that it ended by itself."""
        if self._record.running:
            self._record = replace(self._record, running=False)
            self._save()

    def _story(self, before: _Record, at: Moment) -> Iterator[Event]:
        """What people should know of the time before the first sound."""
        since = _time(before.failing_since)
        if before.told and since is not None:
            yield FaultClearedEvent(
                **at.facts(),
                fault="start",
                detail=f"it listens again after {before.failures} failed starts",
                duration_s=max((at.time - since).total_seconds(), 0.0),
                figures={"failures": before.failures},
            )
        alive, told = _time(before.alive), _time(before.restart_told)
        if not before.running or alive is None:
            return
        if told is not None and abs(at.time - told) < _AGAIN_AFTER:
            return  # the watchdog of the system restarts a deaf monitor every few minutes
        self._record = replace(self._record, restart_told=at.time.isoformat())
        self._save()
        down_s = max((at.time - alive).total_seconds(), 0.0)
        yield NoticeEvent(
            **at.facts(),
            notice="restarted",
            text="the monitor had not ended by itself: a crash, a power cut or its watchdog; "
            f"up to {down_s:.0f} s were not heard",
            figures={"down_s": round(down_s, 1)},
        )

    def _save(self) -> None:
        try:
            write_atomically(self._path, json.dumps(asdict(self._record)) + "\n")
        except OSError as error:
            _log.warning("cannot note the start in %s: %s", self._path, error.strerror)


def _load(path: Path) -> _Record:
    try:
        content: dict[str, Any] | None = read_json(path)
        record = _Record(**content) if content and content.get("version") == _VERSION else _Record()
        for time in (record.alive, record.failing_since, record.told, record.restart_told):
            _time(time)
        if not isinstance(record.failures, int):
            raise ValueError(f"failures is {record.failures!r:.40}")
    except (StateError, TypeError, ValueError) as error:
        _log.warning("%s is forgotten: %s", path, error)
        return _Record()
    return record


def _time(text: str | None) -> datetime | None:
    """Read a time of day.

    Raises
    ------
    TypeError, ValueError
        When it is none, or has no zone.
    """
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} is not a time with a zone")
    return time
