"""The memory of an alarm on disk, so that it survives a restart.

Times are UTC in the file: what passed while no monitor ran counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_asd.alarm.memory import AlarmMemory
from edge_asd.errors import StateError
from edge_asd.state.folder import read_json, write_atomically

__all__ = ["AlarmStore"]

_VERSION = 1
_TIMES = ("raised_at", "holdoff_until", "shelved_until")

_log = logging.getLogger(__name__)


class AlarmStore:
    """One file.

    Parameters
    ----------
    utc : time of day of a position in the stream, in seconds
    """

    def __init__(self, path: Path, utc: Callable[[float], datetime]) -> None:
        self._path = path
        self._utc = utc

    def load(self) -> AlarmMemory | None:
        """Return the memory in seconds of this stream, or None when there is none.

        A file that cannot be used is moved aside, because a monitor that forgot an alarm
        is better than none.
        """
        try:
            content = read_json(self._path)
            return None if content is None else self._memory(content)
        except StateError as error:
            aside = self._path.with_name(f"{self._path.name}.broken")
            with suppress(OSError):
                self._path.replace(aside)
            _log.warning("the state of the alarm is forgotten and now in %s: %s", aside, error)
            return None

    def save(self, memory: AlarmMemory) -> None:
        """Write the memory, whole or not at all.

        Raises
        ------
        OSError
            As the system does; the old file is then as it was.
        """
        content = memory.to_dict()
        for name in _TIMES:
            time_s = content.pop(f"{name}_s")
            content[name] = None if time_s is None else _text(self._utc(time_s))
        write_atomically(self._path, json.dumps({"version": _VERSION} | content, indent=2) + "\n")

    def _memory(self, content: Mapping[str, Any]) -> AlarmMemory:
        if content.get("version") != _VERSION:
            raise StateError(
                f"{self._path} has version {content.get('version')!r:.40}, expected {_VERSION}"
            )
        begin = self._utc(0.0)
        times = {f"{name}_s": _seconds_since(begin, content.get(name, "")) for name in _TIMES}
        return AlarmMemory.from_dict({**content, **times})


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _seconds_since(begin: datetime, text: object) -> float | None:
    """Read a time of day; a missing one is None."""
    if text is None:
        return None
    try:
        return (datetime.fromisoformat(str(text)) - begin).total_seconds()
    except (ValueError, TypeError):  # TypeError: a time without a zone
        raise StateError(f"{text!r:.80} is not a time with a zone") from None
