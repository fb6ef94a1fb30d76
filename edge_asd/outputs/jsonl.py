"""Events as JSON lines: to standard output, or to a file that is rotated.

The file is rotated by the standard library. Writing is done here, because its handlers tear a
line on a full disk, hide the error, and go on with a file that another program has removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated, ClassVar, TextIO

from pydantic import Field

from edge_asd.doctor.verdict import Verdict, ok, problem
from edge_asd.errors import OutputError
from edge_asd.events.event import Event
from edge_asd.outputs.envelope import Envelope
from edge_asd.outputs.output_section import OutputContext, OutputSection

__all__ = ["JsonlFile", "JsonlOutput", "JsonlSettings"]


class JsonlSettings(OutputSection):
    """A file of events."""

    name: ClassVar[str] = "jsonl"

    path: str
    max_bytes: Annotated[int, Field(ge=10_000)]
    backups: Annotated[int, Field(ge=0, le=1000)]

    @property
    def enabled(self) -> bool:
        return bool(self.path)

    def open(self, context: OutputContext) -> JsonlFile:
        path = Path(self.path).expanduser()
        return JsonlFile(path, max_bytes=self.max_bytes, backups=self.backups)

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        path = Path(self.path)
        if os.access(path if path.exists() else path.parent, os.W_OK):
            yield ok("file", f"{path} can be written")
        else:
            advice = "the folder must exist and belong to the user who runs the monitor"
            yield problem("file", f"{path} cannot be written", advice)


class JsonlOutput:
    """One line per event on a stream, flushed at once so that readers see whole lines.

    Parameters
    ----------
    stream : an open text stream, which stays open
    name : in faults and counters
    """

    def __init__(self, stream: TextIO, *, name: str = "stdout") -> None:
        self._stream = stream
        self.name = name
        self._sent = self._dropped = 0
        self._buffered = ""  # id of an event that the stream's buffer could not write yet

    def emit(self, event: Event) -> None:
        """Write the event as one line; after a failure the same event may be tried again.

        Raises
        ------
        BrokenPipeError
            When the reader of the stream has gone.
        OutputError
            When it cannot be written otherwise, for instance on a full disk.
        """
        self.write(Envelope.of(event))

    def write(self, envelope: Envelope) -> None:
        """Write an event as `emit` does."""
        try:
            self._stream.flush()
            if envelope.id != self._buffered:
                self._buffered = envelope.id
                self._stream.write(envelope.payload.decode() + "\n")
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._dropped += 1
            raise OutputError(f"cannot write {self.name}: {error.strerror}") from error
        self._buffered = ""
        self._sent += 1

    def counters(self) -> dict[str, int]:
        """Events so far; none ever waits."""
        return {"sent": self._sent, "dropped": self._dropped, "waiting": 0}

    def close(self) -> None:
        """Leave the stream to whoever opened it."""


class JsonlFile:
    """One line per event at the end of a file; a line is there as a whole, or not at all.

    When the file would grow beyond `max_bytes` it is renamed to ``<name>.1``, what was
    ``<name>.1`` to ``<name>.2``, and so on; the oldest goes. Where the path is not a regular
    file (a pipe, a device) nothing is renamed. When another program moves or removes the file,
    a new one is begun.

    Parameters
    ----------
    max_bytes : of one file; None for no limit. A single longer line is written all the same
    backups : how many renamed files are kept
    name : in faults and counters

    Raises
    ------
    OutputError
        When it cannot be opened.
    """

    def __init__(
        self, path: Path, *, max_bytes: int | None = None, backups: int = 0, name: str = "jsonl"
    ) -> None:
        self.name = name
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._sent = self._dropped = 0
        self._file: FileIO | None = None
        try:
            self._opened()
        except OSError as error:
            raise self._error(error) from error

    def emit(self, event: Event) -> None:
        """Append the event as one line.

        Raises
        ------
        BrokenPipeError
            When the path is a pipe whose reader has gone.
        OutputError
            When it cannot be written, for instance on a full disk. The next event is tried
            again.
        """
        try:
            self._append(Envelope.of(event).payload + b"\n")
        except BrokenPipeError:
            raise
        except OSError as error:
            self._dropped += 1
            raise self._error(error) from error
        self._sent += 1

    def counters(self) -> dict[str, int]:
        """Events so far; none ever waits."""
        return {"sent": self._sent, "dropped": self._dropped, "waiting": 0}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, line: bytes) -> None:
        file = self._opened()
        size = _regular_size(file)
        if size and self._max_bytes is not None and size + len(line) > self._max_bytes:
            self.close()
            _rotate(self._path, self._backups)
            file, size = self._opened(), 0
        try:
            _write_all(file, line)
        except OSError:
            if size is not None:
                with suppress(OSError):
                    file.truncate(size)
            self.close()  # the next event opens it again
            raise

    def _opened(self) -> FileIO:
        if self._file is not None and not _is_at(self._file, self._path):
            self.close()
        if self._file is None:
            file = FileIO(self._path, "a")
            self._file = file
            if _regular_size(file) and not _ends_with_newline(self._path):
                _write_all(file, b"\n")  # a power cut tore the last line
        return self._file

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror}")


def _rotate(path: Path, backups: int) -> None:
    if backups:
        handler = RotatingFileHandler(path, backupCount=backups, delay=True)
        handler.doRollover()
        handler.close()
    else:
        path.unlink(missing_ok=True)


def _write_all(file: FileIO, content: bytes) -> None:
    rest = content
    while rest:
        rest = rest[file.write(rest) :]


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether an open file is what its path leads to."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _regular_size(file: FileIO) -> int | None:
    """Size of a regular file in bytes, None for anything else."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
