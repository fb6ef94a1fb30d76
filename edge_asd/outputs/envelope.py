"""Events as outputs deliver them: already written, never read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from edge_asd.events.event import Event

__all__ = ["Envelope"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event, written as JSON."""

    id: str  # the same in every repeat
    event: str  # name of the event: "score", "alarm_raised"
    durable: bool  # must arrive
    payload: bytes  # JSON in UTF-8 on one line

    @classmethod
    def of(cls, event: Event) -> Self:
        """Write an event; what UTF-8 lacks is escaped."""
        payload = event.to_json().encode("utf-8", "backslashreplace")
        return cls(event.id, event.event, event.durable, payload)
