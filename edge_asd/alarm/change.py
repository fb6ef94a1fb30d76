"""What windows and time do to an alarm; times in seconds of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Change", "Cleared", "Raised", "Rule", "Unshelved", "Warned"]

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
class Unshelved:
    """The time of shelving is over: alarms are raised again."""

    time_s: float


Change = Warned | Raised | Cleared | Unshelved
