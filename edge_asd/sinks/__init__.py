"""Where events go: one protocol, one file per kind of output.

A sink takes one event at a time, in order. When it cannot, it raises ``SinkError``; the
monitor reports that and goes on scoring.
"""

from __future__ import annotations

from typing import Protocol

from edge_asd.event import Event

__all__ = ["Sink"]


class Sink(Protocol):
    """An output for events."""

    def emit(self, event: Event) -> None:
        """Put out one event."""
        ...

    def close(self) -> None:
        """Finish; nothing is emitted afterwards."""
        ...
