"""The memory of an alarm on disk, so that it survives a restart.

Times are UTC in the file: what passed while no monitor ran counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_asd.alarm.life_cycle import AlarmMemory, OpenAlarm
from edge_asd.state.record import Finite, StateRecord, UtcTime

__all__ = ["AlarmStore"]


class SavedAlarm(StateRecord):
    """Content of ``alarm.json``."""

    version: Literal[1]
    alarm_id: Annotated[str, Field(min_length=1, max_length=200)] | None  # of the one that is on
    raised_at: UtcTime | None
    max_score: Finite | None
    acknowledged: bool
    holdoff_until: UtcTime | None
    shelved_until: UtcTime | None

    @model_validator(mode="after")
    def _open_alarm_is_complete(self) -> Self:
        if self.alarm_id is not None and None in (self.raised_at, self.max_score):
            raise ValueError("an alarm that is on lacks raised_at or max_score")
        return self


class AlarmStore:
    """One file.

    Parameters
    ----------
    utc : time of day of a position in the stream, in seconds
    """

    def __init__(self, path: Path, utc: Callable[[float], datetime]) -> None:
        self._path = path
        self._utc = utc

    def load(self) -> AlarmMemory | None:
        """Return the memory in seconds of this stream, or None when there is none to be had."""
        saved = SavedAlarm.load_or_set_aside(self._path)
        if saved is None:
            return None
        opened = None
        raised_at_s = self._seconds(saved.raised_at)
        if saved.alarm_id is not None and raised_at_s is not None and saved.max_score is not None:
            opened = OpenAlarm(saved.alarm_id, raised_at_s, saved.max_score, saved.acknowledged)
        return AlarmMemory(
            opened, self._seconds(saved.holdoff_until), self._seconds(saved.shelved_until)
        )

    def save(self, memory: AlarmMemory) -> None:
        """Write the memory, whole or not at all.

        Raises
        ------
        OSError
            As the system does; the old file is then as it was.
        """
        opened = memory.open
        SavedAlarm(
            version=1,
            alarm_id=opened.alarm_id if opened else None,
            raised_at=self._time(opened.raised_at_s if opened else None),
            # JSON has no infinity.
            max_score=min(opened.max_score, sys.float_info.max) if opened else None,
            acknowledged=opened.acknowledged if opened else False,
            holdoff_until=self._time(memory.holdoff_until_s),
            shelved_until=self._time(memory.shelved_until_s),
        ).save(self._path)

    def _time(self, time_s: float | None) -> datetime | None:
        return None if time_s is None else self._utc(time_s)

    def _seconds(self, time: datetime | None) -> float | None:
        return None if time is None else (time - self._utc(0.0)).total_seconds()
