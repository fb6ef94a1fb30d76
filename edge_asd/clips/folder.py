"""What is kept of one alarm: a folder with its JSON, a picture and the sound.

``event.json`` holds an :class:`EventRecord`. Old folders lose their sound first: the file of a
clip may be gone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from edge_asd.events.event import AlarmClearedEvent, Event
from edge_asd.state.folder import folder_name
from edge_asd.state.record import Finite, StateRecord

__all__ = [
    "AUDIO_FILE",
    "EVENT_FILE",
    "PICTURE_FILE",
    "STAMPED",
    "ClearedAlarm",
    "ClipGap",
    "ClipRecord",
    "EventRecord",
    "RaisedAlarm",
    "add_to_record",
    "event_path",
]

AUDIO_FILE = "audio.flac"
EVENT_FILE = "event.json"
PICTURE_FILE = "spectrogram.png"
STAMPED = re.compile(r".*-(\d{8}T\d{9}Z)")  # an alarm's id ends with its time

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,127}")
_MOST_NOTES = 100


class _WholeEvent(StateRecord):
    """An event as outputs got it, with all its keys."""

    model_config = ConfigDict(extra="allow")


class RaisedAlarm(_WholeEvent):
    """The event that raised an alarm."""

    alarm_id: str
    machine: str
    above_since_s: Finite  # end of the first window that led to it


class ClearedAlarm(_WholeEvent):
    """The event that cleared it."""

    stream_time_s: Finite


class ClipGap(StateRecord):
    """Sound that is missing in a clip."""

    at_s: Finite  # of the clip
    lost_s: Finite | None  # None: unknown


class ClipRecord(StateRecord):
    """The sound that is kept of an alarm."""

    file: str | None = None
    state: str = "recording"  # then "complete", "cut short: ...", "none: ..."
    sample_rate_hz: int
    start: str  # UTC
    start_stream_s: Finite
    seconds: Finite | None = None
    gaps: tuple[ClipGap, ...] = ()


class EventRecord(StateRecord):
    """Content of ``event.json``."""

    indent: ClassVar[int | None] = 1
    most_bytes: ClassVar[int] = 1_000_000

    alarm: RaisedAlarm
    cleared: ClearedAlarm | None = None
    notes: tuple[dict[str, Any], ...] = ()  # events: acknowledged, shelved
    picture: str | None = None
    clip: ClipRecord


def event_path(events: Path, alarm_id: str) -> Path:
    """Return the folder of an alarm, which lies in `events` whatever the id looks like."""
    return events / (alarm_id if _PLAIN.fullmatch(alarm_id) else folder_name(alarm_id))


def add_to_record(folder: Path, event: Event) -> None:
    """Add what happened later to ``event.json``; nothing, where there is none.

    Raises
    ------
    OSError
        When it cannot be written.
    StateError
        When it cannot be read.
    """
    record = EventRecord.load(folder / EVENT_FILE)
    if record is None:
        return
    update: dict[str, Any] = (
        {"cleared": ClearedAlarm.model_validate(event.to_dict())}
        if isinstance(event, AlarmClearedEvent)
        else {"notes": (*record.notes, event.to_dict())[-_MOST_NOTES:]}
    )
    record.model_copy(update=update).save(folder / EVENT_FILE)
