"""What a monitor heard of a planted fault, told from its events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_asd_export.demo.plan import Planted

__all__ = ["HeardAlarm", "Outcome", "outcome_of", "read_events"]


@dataclass(frozen=True, slots=True)
class HeardAlarm:
    """An alarm that was raised; times in seconds of the recording."""

    alarm_id: str
    raised_s: float
    cleared_s: float | None  # None: still on at the end
    why: str  # the explanation in words; empty: there is none


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores and alarms of a recording with a planted fault."""

    planted: Planted
    threshold: float
    scores: tuple[tuple[float, float], ...]  # (end of the window in seconds, score)
    alarms: tuple[HeardAlarm, ...]

    @property
    def heard(self) -> HeardAlarm | None:
        """The first alarm that was raised while the fault was there."""
        first = (alarm for alarm in self.alarms if self._belongs(alarm))
        return next(first, None)

    @property
    def outside(self) -> tuple[HeardAlarm, ...]:
        """Alarms that were raised while the machine was healthy."""
        return tuple(alarm for alarm in self.alarms if not self._belongs(alarm))

    def missed(self) -> str | None:
        """One sentence about a fault that raised no alarm; None when it did."""
        if self.heard:
            return None
        planted = self.planted
        during = [one for one in self.scores if planted.normal_s < one[0] <= planted.end_s]
        instead = "no window was scored while it was there"
        if during:
            at_s, score = max(during, key=lambda one: one[1])
            instead = (
                f"the highest score was {score:.2f} at {at_s:g} s, the threshold is "
                f"{self.threshold:.2f}"
            )
        if self.outside:
            times = ", ".join(f"{alarm.raised_s:g} s" for alarm in self.outside)
            instead += f"; alarms while it was healthy: at {times}"
        return f"{planted} raised no alarm: {instead}"

    def _belongs(self, alarm: HeardAlarm) -> bool:
        return self.planted.normal_s < alarm.raised_s <= self.planted.end_s


def outcome_of(events: Iterable[dict[str, Any]], planted: Planted) -> Outcome:
    """Read the events of one run over the recording of `planted`."""
    threshold = float("nan")
    scores: list[tuple[float, float]] = []
    raised: dict[str, tuple[float, str]] = {}
    cleared: dict[str, float] = {}
    for event in events:
        time_s = event["stream_time_s"]
        match event["event"]:
            case "score":
                threshold = event["threshold"]
                scores.append((time_s, event["score"]))
            case "alarm_raised":
                why = (event["explanation"] or {}).get("text", "")
                raised[event["alarm_id"]] = (time_s, why)
            case "alarm_cleared":
                cleared[event["alarm_id"]] = time_s
    alarms = (
        HeardAlarm(alarm_id, raised_s, cleared.get(alarm_id), why)
        for alarm_id, (raised_s, why) in raised.items()
    )
    return Outcome(planted, threshold, tuple(scores), tuple(alarms))


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events of a file of JSON lines, as ``listen --output`` writes it."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
