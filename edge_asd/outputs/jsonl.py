"""Events as JSON lines: to standard output, or to a file that is rotated.

The file is rotated by the standard library. Writing is done here, because its handlers tear a
line on a full disk, hide the error, and go on with a file that another program has removed.
"""

from __future__ import annotations

import errno
import os
import stat
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from io import FileIO, UnsupportedOperation
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated, ClassVar, TextIO

from pydantic import Field

from edge_asd.capture.abandonable_call import AbandonableCall
from edge_asd.doctor.verdict import Verdict, ok, problem
from edge_asd.errors import OutputError, ReaderGoneError
from edge_asd.outputs import Envelope, Output
from edge_asd.outputs.direct import Direct
from edge_asd.outputs.output_section import OutputContext, OutputSection
from edge_asd.outputs.patient_write import Waits, for_ever, never, open_to_append, write_some
from edge_asd.settings import FilePath

__all__ = ["PATIENCE_S", "JsonlFile", "JsonlSettings", "JsonlStream"]

_OPENS_WITHIN_S = 5.0
PATIENCE_S = 8.0  # so long a file or a reader of this computer may take nothing


class JsonlSettings(OutputSection):
    """A file of events."""

    name: ClassVar[str] = "jsonl"

    path: FilePath
    max_bytes: Annotated[int, Field(ge=10_000, le=2**53)]
    backups: Annotated[int, Field(ge=0, le=1000)]

    @property
    def enabled(self) -> bool:
        return bool(self.path)

    @property
    def folder(self) -> Path | None:
        return Path(self.path).parent if self.path else None

    def open(self, context: OutputContext) -> Output:
        waits = context.waits
        file = JsonlFile(
            Path(self.path),
            max_bytes=self.max_bytes,
            backups=self.backups,
            waits=waits or for_ever,
            opens_within=waits or never,
        )
        if waits is not None:
            return Direct(file)
        return context.delivery(file, patience_s=PATIENCE_S, max_pause_s=PATIENCE_S)

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        path = Path(self.path)
        if os.access(path if path.exists() else path.parent, os.W_OK):
            yield ok("file", f"{path} can be written")
        else:
            advice = "the folder must exist and belong to the user who runs the monitor"
            yield problem("file", f"{path} cannot be written", advice)


class _Lines:
    """One line for each event; a line that was begun is gone on with.

    Parameters
    ----------
    waits : how long a reader may take
    """

    def __init__(self, name: str, place: str, waits: Waits) -> None:
        self.name = name
        self._place = place
        self._waits = waits
        self._begun = ""  # id of the event whose line is not written to its end
        self._rest = b""  # of that line

    def send(self, envelope: Envelope) -> None:
        """Write the event as one line; after a failure the same event may be tried again.

        Raises
        ------
        ReaderGoneError
            When the reader has gone.
        OutputError
            When it cannot be written otherwise, for instance on a full disk.
        """
        try:
            self._write(envelope)
        except BrokenPipeError as error:
            raise ReaderGoneError(f"{self._place} has no reader any more") from error
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> OutputError:
        reason = "nobody reads it" if error.errno == errno.ENXIO else error.strerror
        return OutputError(f"cannot write {self._place}: {reason}")

    @abstractmethod
    def _write(self, envelope: Envelope) -> None: ...

    def _go_on(self, descriptor: int, envelope: Envelope) -> None:
        if envelope.id != self._begun:
            self._begun = envelope.id
            self._rest += envelope.payload + b"\n"
        while self._rest:
            self._rest = self._rest[write_some(descriptor, self._rest, self._waits) :]
        self._begun = ""


class JsonlStream(_Lines):
    """Lines on a stream, written at once so that readers see whole lines.

    Parameters
    ----------
    stream : an open text stream, which stays open
    name : in faults and counters
    """

    def __init__(self, stream: TextIO, *, name: str = "stdout", waits: Waits = for_ever) -> None:
        super().__init__(name, name, waits)
        self._stream = stream
        try:
            stream.flush()
            self._descriptor: int | None = stream.fileno()
        except UnsupportedOperation:  # it is in memory
            self._descriptor = None

    def close(self) -> None:
        """Leave the stream to whoever opened it."""

    def _write(self, envelope: Envelope) -> None:
        # Past the buffer of the stream, whose lock a thread that hangs would keep at the exit.
        if self._descriptor is None:
            self._stream.write(envelope.payload.decode() + "\n")
        else:
            self._go_on(self._descriptor, envelope)


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
    opens_within : how long a pipe may lack a reader

    Raises
    ------
    OutputError
        When it cannot be opened. A pipe that nobody reads, and a disk that hangs, are no errors
        before an event is written.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int | None = None,
        backups: int = 0,
        name: str = "jsonl",
        waits: Waits = for_ever,
        opens_within: Waits = never,
    ) -> None:
        super().__init__(name, str(path), waits)
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._opens_within = opens_within
        self._file: FileIO | None = None
        opening = AbandonableCall(partial(self._opened, never))
        try:
            if opening.has_returned(_OPENS_WITHIN_S):
                opening.result()
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise self._error(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, envelope: Envelope) -> None:
        n_bytes = len(envelope.payload) + 1
        file = self._opened(self._opens_within)
        size = _regular_size(file)
        if size and self._max_bytes is not None and size + n_bytes > self._max_bytes:
            self.close()
            _rotate(self._path, self._backups)
            file, size = self._opened(never), 0
        try:
            self._go_on(file.fileno(), envelope)
            if envelope.durable and size is not None:
                os.fsync(file.fileno())  # else a power cut takes what nobody delivers again
        except TimeoutError:
            raise
        except OSError:
            if size is not None:
                with suppress(OSError):
                    file.truncate(size)
            self._begun, self._rest = "", b""
            self.close()  # the next event opens it again
            raise

    def _opened(self, waits: Waits) -> FileIO:
        if self._file is not None and not _is_at(self._file, self._path):
            self.close()
        if self._file is None:
            file = open_to_append(self._path, waits)
            self._file = file
            if _regular_size(file) and not _ends_with_newline(self._path):
                write_some(file.fileno(), b"\n", for_ever)  # a power cut tore the last line
        return self._file


def _rotate(path: Path, backups: int) -> None:
    if backups:
        handler = RotatingFileHandler(path, backupCount=backups, delay=True)
        handler.doRollover()
        handler.close()
    else:
        path.unlink(missing_ok=True)


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
