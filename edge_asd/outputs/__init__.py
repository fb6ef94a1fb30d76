"""Where events go: one protocol, one file per kind of output.

A sink takes one event at a time, in order, and does not wait for anybody. When it cannot,
it raises ``OutputError``; the monitor reports that and goes on scoring.
"""

from __future__ import annotations

from typing import Protocol

from edge_asd.events.event import Event

__all__ = ["Output"]


class Output(Protocol):
    """An output for events."""

    @property
    def name(self) -> str:
        """What faults and counters call it."""
        ...

    def emit(self, event: Event) -> None:
        """Put out one event."""
        ...

    def counters(self) -> dict[str, int]:
        """Events so far: ``sent``, ``dropped``, and ``waiting`` to be delivered."""
        ...

    def close(self) -> None:
        """Finish; nothing is emitted afterwards."""
        ...
