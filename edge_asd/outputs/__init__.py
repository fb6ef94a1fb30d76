"""Where events go: to files, brokers and web servers; one module for each kind of output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from edge_asd.events.event import Event

__all__ = ["Envelope", "Output"]


class Output(Protocol):
    """Takes one event at a time, in order, without waiting for the other side."""

    @property
    def name(self) -> str:
        """Name in faults and counters."""
        ...

    def emit(self, event: Event) -> None:
        """Put out one event.

        Raises
        ------
        OutputError
            When it cannot be written now.
        BrokenPipeError
            When the reader has gone for good.
        """
        ...

    def counters(self) -> dict[str, int]:
        """Events so far: ``sent``, ``dropped``, and ``waiting`` to be delivered."""
        ...

    def close(self) -> None:
        """Finish; nothing is emitted afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as outputs deliver it: written as JSON, never read back."""

    id: str  # the same in every repeat
    event: str  # name of the event: "score", "alarm_raised"
    durable: bool  # must arrive
    payload: bytes  # JSON in UTF-8 on one line

    @classmethod
    def of(cls, event: Event) -> Self:
        """Write an event; what UTF-8 lacks is escaped."""
        payload = event.to_json().encode("utf-8", "backslashreplace")
        return cls(event.id, event.event, event.durable, payload)
