"""Events that an earlier version of the program has left to be delivered.

Its journal held one line per event and, once it was delivered, a line ``{"done": "<id>"}``.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from edge_asd.outputs.envelope import Envelope

__all__ = ["read_old_spool"]

_log = logging.getLogger(__name__)


def read_old_spool(path: Path) -> list[Envelope]:
    """Return the events that wait in the file, the oldest first; damaged lines are left out."""
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
    if unreadable:
        _log.warning("%s: left out %d damaged lines", path, unreadable)
    return list(waiting.values())
