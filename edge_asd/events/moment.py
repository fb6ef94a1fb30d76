"""When something happened: a position in the stream, and its time of day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

__all__ = ["Moment", "Place", "duration"]


class Place(TypedDict):
    """What every event has."""

    time: datetime
    stream_time_s: float
    machine: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A position in the stream, as UTC and as seconds of audio."""

    time: datetime
    stream_time_s: float
    machine: str

    def facts(self) -> Place:
        """Keyword arguments of every event at this moment."""
        return {
            "time": self.time,
            "stream_time_s": self.stream_time_s,
            "machine": self.machine,
        }


def duration(seconds: float) -> str:
    """Return a time in words: ``2 d 4 h``, ``4 h 10 min``, ``12 min``, ``40 s``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
