"""What the monitor says: events, each one JSON object on one line.

``time`` is UTC and ``stream_time_s`` counts the seconds of audio since the start, both
at the END of the window that the event speaks of. They come from the sample counter,
lost samples included, and not from a clock: a file with the same start gives the same
events on every run.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

__all__ = [
    "AlarmClearedEvent",
    "AlarmRaisedEvent",
    "AudioGapEvent",
    "Event",
    "ScoreEvent",
    "StartedEvent",
    "StoppedEvent",
    "WindowEvent",
    "utc_text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has."""

    event: ClassVar[str] = ""

    time: datetime  # UTC
    stream_time_s: float
    machine: str

    def to_json(self) -> str:
        """One line of strict JSON; numbers that JSON does not have become null."""
        content = {"event": self.event}
        content |= {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return json.dumps(content, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedEvent(Event):
    """Listening begins; what the later numbers mean."""

    event: ClassVar[str] = "started"

    source: str  # microphone or file
    source_rate_hz: int
    bundle: str
    sample_rate_hz: int
    window_s: float
    hop_s: float
    threshold: float
    clear_threshold: float
    min_duration_s: float
    holdoff_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowEvent(Event):
    """What every event about a window has."""

    window_start_s: float
    score: float
    threshold: float
    clear_threshold: float
    branches: dict[str, float]
    level_dbfs: dict[str, float]  # root mean square of the window: near, far


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreEvent(WindowEvent):
    """The score of one window."""

    event: ClassVar[str] = "score"

    alarm: bool  # whether the alarm is on after this window


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRaisedEvent(WindowEvent):
    """The alarm went on."""

    event: ClassVar[str] = "alarm_raised"

    above_since_s: float  # end of the first of the windows that led to it


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmClearedEvent(WindowEvent):
    """The alarm went off."""

    event: ClassVar[str] = "alarm_cleared"

    duration_s: float
    max_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioGapEvent(Event):
    """Audio is missing before `stream_time_s`; no window spans the gap."""

    event: ClassVar[str] = "audio_gap"

    reason: str
    lost_s: float | None  # None: the driver reports a loss, but not how much


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEvent(Event):
    """Listening ended; the summary."""

    event: ClassVar[str] = "stopped"

    reason: str
    seconds: float  # length of the stream, gaps included
    windows: int  # scored
    alarms: int  # raised
    alarm: bool  # whether the alarm was still on
    max_score: float | None
    gaps: int
    dropped_frames: int  # at the bundle's sample rate


def utc_text(time: datetime) -> str:
    """ISO 8601 with milliseconds and ``Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return utc_text(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value
