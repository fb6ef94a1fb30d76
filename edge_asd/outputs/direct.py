"""Delivers events one by one before anything else goes on: what recordings are played to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asd.errors import OutputError, ReaderGoneError
from edge_asd.events.event import Event
from edge_asd.outputs import Envelope

if TYPE_CHECKING:
    from edge_asd.outputs.delivery import Transport

__all__ = ["Direct"]


class Direct:
    """An output without a queue: a recording waits for it, and no event is left out.

    Parameters
    ----------
    transport : the way to the other side; closed with this
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._sent = self._dropped = 0

    @property
    def name(self) -> str:
        """Name of the transport."""
        return self._transport.name

    def emit(self, event: Event) -> None:
        """Deliver the event.

        Raises
        ------
        BrokenPipeError
            When the reader has gone.
        OutputError
            When it cannot be delivered otherwise, for instance on a full disk.
        """
        try:
            self._transport.send(Envelope.of(event))
        except ReaderGoneError as error:
            raise BrokenPipeError(str(error)) from error
        except OutputError:
            self._dropped += 1
            raise
        self._sent += 1

    def counters(self) -> dict[str, int]:
        """Events so far; none ever waits."""
        return {"sent": self._sent, "dropped": self._dropped, "waiting": 0}

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()
