"""Events as JSON lines: to standard output, or appended to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from edge_asd.errors import SinkError
from edge_asd.event import Event

__all__ = ["JsonlSink"]


class JsonlSink:
    """One line per event, flushed at once so that readers and power cuts see whole lines.

    Parameters
    ----------
    stream : an open text stream
    name : what error messages call it
    owned : whether :meth:`close` closes the stream
    """

    def __init__(
        self, stream: TextIO, *, name: str = "standard output", owned: bool = False
    ) -> None:
        self._stream = stream
        self._name = name
        self._owned = owned

    @classmethod
    def append(cls, path: Path) -> JsonlSink:
        """Open `path` for appending; make it when there is none.

        Raises
        ------
        SinkError
            When it cannot be written.
        """
        try:
            return cls(path.open("a", encoding="utf-8"), name=str(path), owned=True)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from error

    def emit(self, event: Event) -> None:
        """Write the event as one line.

        Raises
        ------
        BrokenPipeError
            When whoever read the stream has gone.
        SinkError
            When it cannot be written otherwise, for instance on a full disk.
        """
        try:
            self._stream.write(event.to_json() + "\n")
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SinkError(f"cannot write {self._name}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; leave a stream that belongs to someone else open."""
        if not self._owned:
            return
        try:
            self._stream.close()
        except OSError as error:
            raise SinkError(f"cannot write {self._name}: {error.strerror}") from error
