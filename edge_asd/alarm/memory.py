"""All of an alarm that survives a restart; what led to a warning does not."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from edge_asd.errors import StateError

__all__ = ["AlarmMemory", "OpenAlarm"]

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is on."""

    alarm_id: str
    raised_at_s: float
    max_score: float  # so far, the windows that led to it included
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class AlarmMemory:
    """What an alarm remembers; times in seconds of the stream."""

    open: OpenAlarm | None = None
    holdoff_until_s: float | None = None
    shelved_until_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON knows it, which has no infinity."""
        highest = sys.float_info.max
        return {
            "alarm_id": self.open.alarm_id if self.open else None,
            "raised_at_s": self.open.raised_at_s if self.open else None,
            "max_score": min(self.open.max_score, highest) if self.open else None,
            "acknowledged": bool(self.open and self.open.acknowledged),
            "holdoff_until_s": self.holdoff_until_s,
            "shelved_until_s": self.shelved_until_s,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the memory that `to_dict` gave.

        Raises
        ------
        StateError
            When something is missing or makes no sense.
        """
        alarm_id, acknowledged = content.get("alarm_id"), content.get("acknowledged")
        raised_at_s, max_score = _number(content, "raised_at_s"), _number(content, "max_score")
        opened = None
        if alarm_id is not None:
            if not isinstance(alarm_id, str) or not 0 < len(alarm_id) <= _LONGEST_ID:
                raise StateError(f"alarm_id is {alarm_id!r:.80}, expected a short text")
            if raised_at_s is None or max_score is None or not isinstance(acknowledged, bool):
                raise StateError("an alarm that is on lacks raised_at, max_score or acknowledged")
            opened = OpenAlarm(alarm_id, raised_at_s, max_score, acknowledged)
        return cls(opened, _number(content, "holdoff_until_s"), _number(content, "shelved_until_s"))


def _number(content: Mapping[str, Any], name: str) -> float | None:
    """Return a value that must be there, be it a number or None."""
    value = content.get(name, math.nan)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise StateError(f"{name} is {content.get(name)!r:.80}, expected a number or null")
    return float(value)
