"""All of an alarm that survives a restart; what led to a warning does not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AlarmMemory", "OpenAlarm"]


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is on."""

    alarm_id: str
    raised_at_s: float
    max_score: float  # so far, the windows that led to it included
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class AlarmMemory:
    """What an alarm remembers; times in seconds of the stream."""

    open: OpenAlarm | None = None
    holdoff_until_s: float | None = None
    shelved_until_s: float | None = None
