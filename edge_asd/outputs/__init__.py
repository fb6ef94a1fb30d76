"""Where events go: to files, brokers and web servers; one module for each kind of output."""

from __future__ import annotations

from typing import Protocol

from edge_asd.events.event import Event

__all__ = ["Output"]


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
