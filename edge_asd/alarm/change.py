"""What can happen to an alarm; times in seconds of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Acknowledged",
    "Change",
    "Cleared",
    "Raised",
    "Rule",
    "Shelved",
    "Unshelved",
    "Warned",
    "WindowChange",
]

Rule = Literal["confirmed", "extreme"]


@dataclass(frozen=True, slots=True)
class Warned:
    """A window is above the threshold, but no fault is confirmed yet."""

    time_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Raised:
    """The alarm went on."""

    time_s: float
    score: float
    alarm_id: str
    since_s: float  # end of the first of the windows above that led to it
    rule: Rule


@dataclass(frozen=True, slots=True)
class Cleared:
    """The alarm went off."""

    time_s: float
    score: float
    alarm_id: str
    duration_s: float  # since it was raised
    max_score: float  # while it was on, the windows that led to it included


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody has seen the alarm."""

    time_s: float
    alarm_id: str


@dataclass(frozen=True, slots=True)
class Shelved:
    """No alarm is raised until a time."""

    time_s: float
    alarm_id: str | None  # of the alarm that was on, and is closed by this
    until_s: float


@dataclass(frozen=True, slots=True)
class Unshelved:
    """Alarms are raised again."""

    time_s: float
    reason: Literal["expired", "requested"]


WindowChange = Warned | Raised | Cleared | Unshelved
Change = WindowChange | Acknowledged | Shelved
