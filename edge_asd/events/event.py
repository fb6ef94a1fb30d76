"""Events of the monitor, each one JSON object on one line.

``time`` is UTC and ``stream_time_s`` counts the seconds of audio since the start, both
at the END of the window that the event speaks of. They come from the sample counter,
lost samples included: a file with the same start gives the same events on every run, ids
included.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from edge_asd.events.moment import Moment
from edge_asd.explain.explanation import Explanation

__all__ = [
    "EVENT_NAMES",
    "FAILED",
    "AlarmAcknowledgedEvent",
    "AlarmClearedEvent",
    "AlarmRaisedEvent",
    "AlarmShelvedEvent",
    "AlarmUnshelvedEvent",
    "AlarmWarningEvent",
    "AudioGapEvent",
    "Event",
    "FaultClearedEvent",
    "FaultRaisedEvent",
    "HopChangedEvent",
    "Notice",
    "NoticeEvent",
    "ScoreEvent",
    "StartedEvent",
    "StoppedEvent",
    "WindowEvent",
    "compact_utc",
    "plain",
    "strict_json",
    "utc_text",
]


FAILED = "failed: "  # begins the reason of an end that nobody wanted

Notice = Literal[
    "clock_step", "commissioned", "drift", "heat", "learned", "power", "promise", "restarted"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Moment):
    """What every event has.

    Each kind names its `event`, and may be `durable`: kept on disk until every output has
    delivered it. `which` is the attribute that tells events of one kind and time apart.
    """

    event: ClassVar[str] = ""
    durable: ClassVar[bool] = False
    which: ClassVar[str] = ""

    def __init_subclass__(cls, *, event: str = "", durable: bool = False, which: str = "") -> None:
        if event:  # else abstract, or made again by `dataclass` for its slots
            cls.event, cls.durable, cls.which = event, durable, which

    @property
    def id(self) -> str:
        """The same for every copy of this event, and for no other event."""
        parts = [self.machine, compact_utc(self.time), self.event]
        return "-".join([*parts, getattr(self, self.which)] if self.which else parts)

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON knows it; numbers that JSON does not have become None."""
        content = {"event": self.event, "id": self.id}
        return content | {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def to_json(self) -> str:
        """One line of strict JSON."""
        return strict_json(self.to_dict())


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedEvent(Event, event="started"):
    """Listening begins; what the later numbers mean."""

    source: str  # microphone or file
    source_rate_hz: int | None  # None: the sound card is not there yet
    bundle: str
    learned: str | None  # version of what was learned on site; None: the bundle alone
    sample_rate_hz: int
    window_s: float
    hop_s: float
    threshold: float
    clear_threshold: float
    extreme_threshold: float | None  # a score above it raises at once
    min_duration_s: float
    confirm: list[int]  # n of m windows
    holdoff_s: float
    promise: str | None  # false alarms and delay, in words; None: nothing is promised
    state: str  # of the alarm, which survives a restart


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
class ScoreEvent(WindowEvent, event="score"):
    """The score of one window."""

    alarm: bool  # whether an alarm is on after this window
    state: str  # of the alarm after this window
    faults: list[str]  # of the monitor, so that a doubtful score can be told


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmWarningEvent(WindowEvent, event="alarm_warning"):
    """The score is above the threshold, but no alarm is confirmed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRaisedEvent(WindowEvent, event="alarm_raised", durable=True):
    """An alarm went on."""

    alarm_id: str
    rule: str  # "confirmed" or "extreme"
    above_since_s: float  # end of the first of the windows that led to it
    explanation: Explanation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmClearedEvent(WindowEvent, event="alarm_cleared", durable=True):
    """An alarm went off."""

    alarm_id: str
    duration_s: float
    max_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmAcknowledgedEvent(Event, event="alarm_acknowledged", durable=True):
    """Somebody has seen the alarm."""

    alarm_id: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmShelvedEvent(Event, event="alarm_shelved", durable=True):
    """No alarm is raised until a time; one that was on is closed."""

    alarm_id: str | None  # of the alarm that was on
    until: datetime
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmUnshelvedEvent(Event, event="alarm_unshelved", durable=True):
    """Alarms are raised again."""

    reason: str  # "expired" or "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRaisedEvent(Event, event="fault_raised", durable=True, which="fault"):
    """The monitor itself is impaired or deaf."""

    fault: str  # key of a FaultChange
    severity: str
    meaning: str
    detail: str
    figures: dict[str, float | int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClearedEvent(Event, event="fault_cleared", durable=True, which="fault"):
    """A fault of the monitor is over."""

    fault: str
    detail: str
    duration_s: float
    figures: dict[str, float | int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioGapEvent(Event, event="audio_gap"):
    """Audio is missing before `stream_time_s`; no window spans the gap."""

    reason: str
    lost_s: float | None  # None: the driver reports a loss, but not how much


@dataclass(frozen=True, slots=True, kw_only=True)
class HopChangedEvent(Event, event="hop_changed"):
    """Windows are scored less, or again more often."""

    hop_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeEvent(Event, event="notice", durable=True, which="notice"):
    """Something worth knowing that is neither an alarm nor a fault."""

    notice: Notice
    text: str
    figures: dict[str, float | int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEvent(Event, event="stopped"):
    """Listening ended; the summary."""

    reason: str
    seconds: float  # length of the stream, gaps included
    windows: int  # scored
    skipped_windows: int  # heard but not scored, because the signal was unusable
    alarms: int  # raised
    alarm: bool  # whether the alarm was still on
    max_score: float | None
    gaps: int
    dropped_frames: int  # at the bundle's sample rate
    undelivered: int  # durable events that some output still has to deliver

    @property
    def failed(self) -> bool:
        """Whether nobody wanted the end."""
        return self.reason.startswith(FAILED)


EVENT_NAMES = sorted(
    kind.event
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Event) and kind.event
)


def utc_text(time: datetime) -> str:
    """ISO 8601 with milliseconds and ``Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact_utc(time: datetime) -> str:
    """``20261122T083005000Z``: sorts by time and fits into a file name."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}{utc.microsecond // 1000:03d}Z"


def strict_json(content: dict[str, Any]) -> str:
    """One line of JSON that every parser accepts."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return `value` as strict JSON knows it: times as text, None for infinity and NaN."""
    match value:
        case datetime():
            return utc_text(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case Explanation():
            return plain(value.to_dict())
        case _:
            return value
