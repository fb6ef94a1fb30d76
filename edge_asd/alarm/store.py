"""The memory of an alarm in the outbox, so that it survives a restart as its events do.

Times are UTC there: what passed while no monitor ran counts.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from edge_asd.alarm.life_cycle import AlarmMemory, OpenAlarm
from edge_asd.outputs.outbox import Outbox
from edge_asd.state.record import (
    CLOCKS_ARE_SET_FROM,
    Finite,
    StateRecord,
    UtcTime,
    first_problem,
)

__all__ = ["AlarmStore"]

_log = logging.getLogger(__name__)

_NAME = "alarm"  # of the memory in the outbox


class SavedAlarm(StateRecord):
    """The memory as JSON; an earlier version of the program wrote it to a file."""

    version: Literal[1]
    alarm_id: Annotated[str, Field(min_length=1, max_length=200)] | None  # of the one that is on
    raised_at: UtcTime | None
    max_score: Finite | None
    acknowledged: bool
    holdoff_until: UtcTime | None
    shelved_until: UtcTime | None
    shelved_for_s: Finite | None = None

    @model_validator(mode="after")
    def _open_alarm_is_complete(self) -> Self:
        if self.alarm_id is not None and None in (self.raised_at, self.max_score):
            raise ValueError("an alarm that is on lacks raised_at or max_score")
        return self


class AlarmStore:
    """Reads the memory of an alarm, and says how it is kept.

    Parameters
    ----------
    outbox : keeps it
    utc : time of day of a position in the stream, in seconds
    old_file : that an earlier version of the program may have left; taken over once
    """

    def __init__(
        self, outbox: Outbox, utc: Callable[[float], datetime], old_file: Path | None = None
    ) -> None:
        self._outbox = outbox
        self._utc = utc
        self._old_file = old_file
        self._carried: tuple[SavedAlarm, AlarmMemory] | None = None  # from before the restart

    def load(self) -> AlarmMemory | None:
        """Return the memory in seconds of this stream, or None when there is none to be had."""
        return self._memory(self._saved())

    def late(self) -> AlarmMemory | None:
        """Return once what `load` would have returned, had the disk answered then."""
        content = self._outbox.late_memory(_NAME)
        return None if content is None else self._memory(_read(content))

    def placed_again(self) -> tuple[AlarmMemory, AlarmMemory] | None:
        """Return what was loaded, as it was given then and by the clock as it is now."""
        if self._carried is None:
            return None
        saved, before = self._carried
        after = self._memory(saved)
        return None if after is None else (before, after)

    def content(self, memory: AlarmMemory) -> dict[str, bytes]:
        """Return the memory as the outbox keeps it."""
        opened = memory.open
        saved = SavedAlarm(
            version=1,
            alarm_id=opened.alarm_id if opened else None,
            raised_at=self._time(opened.raised_at_s if opened else None),
            # JSON has no infinity.
            max_score=min(opened.max_score, sys.float_info.max) if opened else None,
            acknowledged=opened.acknowledged if opened else False,
            holdoff_until=self._time(memory.holdoff_until_s),
            shelved_until=self._time(memory.shelved_until_s),
            shelved_for_s=memory.shelved_for_s,
        )
        return {_NAME: saved.to_bytes()}

    def _saved(self) -> SavedAlarm | None:
        content = self._outbox.memory(_NAME)
        if content is None:
            return SavedAlarm.load_or_set_aside(self._old_file) if self._old_file else None
        if self._old_file is not None:
            with suppress(OSError):
                self._old_file.unlink(missing_ok=True)  # it was taken over at an earlier start
        return _read(content)

    def _memory(self, saved: SavedAlarm | None) -> AlarmMemory | None:
        if saved is None:
            return None
        opened = None
        raised_at_s = self._seconds(saved.raised_at)
        if saved.raised_at is not None and saved.raised_at < CLOCKS_ARE_SET_FROM:
            raised_at_s = 0.0
        if saved.alarm_id is not None and raised_at_s is not None and saved.max_score is not None:
            opened = OpenAlarm(saved.alarm_id, raised_at_s, saved.max_score, saved.acknowledged)
        memory = AlarmMemory(
            opened,
            self._seconds(saved.holdoff_until),
            self._seconds(saved.shelved_until),
            saved.shelved_for_s,
        )
        self._carried = saved, memory
        return memory

    def _time(self, time_s: float | None) -> datetime | None:
        return None if time_s is None else self._utc(time_s)

    def _seconds(self, time: datetime | None) -> float | None:
        return None if time is None else (time - self._utc(0.0)).total_seconds()


def _read(content: bytes) -> SavedAlarm | None:
    try:
        return SavedAlarm.model_validate_json(content)
    except ValidationError as error:
        _log.warning("the state of the alarm is forgotten: %s", first_problem(error))
        return None
