"""Events that an earlier version of the program has left: one file for each output."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

from edge_asd.outputs import Envelope
from edge_asd.outputs.journal import Waiting, is_damage, name_aside, readable_rows

__all__ = ["OldSpool"]


class OldSpool:
    """The folder of these files: ``<output>.sqlite3``, and ``<output>.jsonl`` of before.

    Parameters
    ----------
    folder : None, or a folder that there is not: nothing was left
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._damaged: set[Path] = set()
        self.n_lost = 0  # events that could not be read, at least

    def read(self) -> list[Waiting]:
        """Return each event with the output that has to deliver it.

        Raises
        ------
        OSError, sqlite3.Error
            When the disk cannot read them now.
        """
        waiting: list[Waiting] = []
        self.n_lost = 0
        for path in self._files():
            events, n_lost = (_of_lines if path.suffix == ".jsonl" else _of_database)(path)
            waiting += [(envelope, frozenset({path.stem})) for envelope in events]
            if n_lost:
                self._damaged.add(path)
                self.n_lost += n_lost
        return waiting

    def remove(self) -> None:
        """Remove what was read; what was damaged is kept under another name."""
        for path in self._files():
            if path in self._damaged:
                path.rename(name_aside(path))
            else:
                path.unlink()

    def _files(self) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        files = [path for path in self._folder.iterdir() if path.suffix in {".jsonl", ".sqlite3"}]
        return sorted(files)  # the .jsonl, which is older, first


def _of_database(path: Path) -> tuple[list[Envelope], int]:
    events: list[Envelope] = []
    n_lost = 0
    with closing(sqlite3.connect(path, timeout=0)) as database:
        database.text_factory = bytes
        rows, failure = readable_rows(database, "events", "id, event, payload, checksum")
    if failure is not None and not is_damage(failure):
        raise failure
    for row in rows:
        try:
            events.append(_envelope(*row))
        except (TypeError, ValueError, AttributeError):
            n_lost += 1
    return events, max(n_lost, int(failure is not None))


def _envelope(key: bytes, event: bytes, payload: bytes, checksum: int) -> Envelope:
    if checksum != zlib.crc32(b"\0".join((key, event, payload))):
        raise ValueError("the row is damaged")
    return Envelope(
        key.decode("utf-8", "surrogatepass"), event.decode("utf-8", "surrogatepass"), True, payload
    )


def _of_lines(path: Path) -> tuple[list[Envelope], int]:
    """One line per event and, once that was delivered, a line ``{"done": "<id>"}``."""
    waiting: dict[str, Envelope] = {}
    unreadable = 0
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
            if "done" in content:
                waiting.pop(content["done"], None)
            else:
                event_id = str(content["id"])
                waiting[event_id] = Envelope(event_id, str(content["event"]), True, line)
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += 1
    return list(waiting.values()), unreadable
