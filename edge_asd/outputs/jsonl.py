"""Events as JSON lines: to standard output, or to a file that is rotated.

The file is rotated by the standard library. Writing is done here, because its handlers tear a
line on a full disk, hide the error, and go on with a file that another program has removed.
"""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
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
from edge_asd.outputs import Envelope
from edge_asd.outputs.output_section import OutputContext, OutputSection

__all__ = ["JsonlFile", "JsonlOutput", "JsonlSettings"]


class JsonlSettings(OutputSection):
    """A file of events."""

    name: ClassVar[str] = "jsonl"

    path: str
    max_bytes: Annotated[int, Field(ge=10_000, le=2**53)]
    backups: Annotated[int, Field(ge=0, le=1000)]

    @property
    def enabled(self) -> bool:
        return bool(self.path)

    @property
    def folder(self) -> Path | None:
        return Path(self.path).parent if self.path else None

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


class _Lines:
    """One line per event; counts those that were written and those that were not."""

    def __init__(self, name: str, place: str) -> None:
        self.name = name
        self._place = place
        self._sent = self._dropped = 0

    def emit(self, event: Event) -> None:
        """Write the event as one line; after a failure the same event may be tried again.

        Raises
        ------
        BrokenPipeError
            When the reader has gone.
        OutputError
            When it cannot be written otherwise, for instance on a full disk.
        """
        self.write(Envelope.of(event))

    def write(self, envelope: Envelope) -> None:
        """Write an event as `emit` does."""
        try:
            self._write(envelope)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._dropped += 1
            raise self._error(error) from error
        self._sent += 1

    def counters(self) -> dict[str, int]:
        """Events so far; none ever waits."""
        return {"sent": self._sent, "dropped": self._dropped, "waiting": 0}

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._place}: {error.strerror}")

    @abstractmethod
    def _write(self, envelope: Envelope) -> None: ...


class JsonlOutput(_Lines):
    """Lines on a stream, flushed at once so that readers see whole lines.

    Parameters
    ----------
    stream : an open text stream, which stays open
    name : in faults and counters
    """

    def __init__(self, stream: TextIO, *, name: str = "stdout") -> None:
        super().__init__(name, name)
        self._stream = stream
        self._buffered = ""  # id of an event that the stream's buffer could not write yet

    def close(self) -> None:
        """Leave the stream to whoever opened it."""

    def _write(self, envelope: Envelope) -> None:
        self._stream.flush()
        if envelope.id != self._buffered:
            self._buffered = envelope.id
            self._stream.write(envelope.payload.decode() + "\n")
        self._stream.flush()
        self._buffered = ""


class JsonlFile(_Lines):
    """Lines at the end of a file; a line is there as a whole, or not at all.

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
        super().__init__(name, str(path))
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._file: FileIO | None = None
        try:
            self._opened()
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, envelope: Envelope) -> None:
        line = envelope.payload + b"\n"
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
