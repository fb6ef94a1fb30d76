"""What is kept of one alarm: a folder with its JSON, a picture and the sound.

``event.json`` holds

===========  ====================================================================
``alarm``    the event that raised it
``cleared``  the event that cleared it, or null
``notes``    events since then: acknowledged, shelved
``picture``  name of the picture, or null
``clip``     ``file`` (or null), ``state``, ``sample_rate_hz``, ``start`` (UTC),
             ``start_stream_s``, ``seconds``, and ``gaps``: where sound is missing,
             ``at_s`` of the clip, and ``lost_s``, null when nobody knows
===========  ====================================================================

Old folders lose their sound first: ``file`` may name one that is gone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edge_asd.events.event import AlarmClearedEvent, Event
from edge_asd.state.folder import folder_name, read_json, write_atomically

__all__ = [
    "AUDIO_FILE",
    "EVENT_FILE",
    "PICTURE_FILE",
    "STAMPED",
    "add_to_record",
    "event_path",
    "write_record",
]

AUDIO_FILE = "audio.flac"
EVENT_FILE = "event.json"
PICTURE_FILE = "spectrogram.png"
STAMPED = re.compile(r".*-(\d{8}T\d{9}Z)")  # an alarm's id ends with its time

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,127}")
_MOST_NOTES = 100


def event_path(events: Path, alarm_id: str) -> Path:
    """Return the folder of an alarm, which lies in `events` whatever the id looks like."""
    return events / (alarm_id if _PLAIN.fullmatch(alarm_id) else folder_name(alarm_id))


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``event.json``.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(folder / EVENT_FILE, text + "\n")


def add_to_record(folder: Path, event: Event) -> None:
    """Add what happened later to ``event.json``; nothing, where there is none.

    Raises
    ------
    OSError
        When it cannot be written.
    StateError
        When it cannot be read.
    """
    record = read_json(folder / EVENT_FILE)
    if record is None:
        return
    if isinstance(event, AlarmClearedEvent):
        record["cleared"] = event.to_dict()
    else:
        record["notes"] = [*record.get("notes", []), event.to_dict()][-_MOST_NOTES:]
    write_record(folder, record)
