"""The normal sound of each day, in a file that survives restarts and stays small.

::

    {"format_version": 1,
     "scored_by": "",                  what gave the scores; days of something else go
     "enrolled": {...},                the summary that the days are compared with, or null
     "announced": {...},               the last day that was spoken of, or null
     "days": [{"day": "2026-11-22", "heard_s": 86000.0, "normal": {...}}, ...],
     "today": {"day": "2026-11-23", "heard_s": 120.0, "every": 1, "windows": [[...], ...]}}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self

from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.errors import StateError
from edge_asd.state.folder import read_json, write_atomically

__all__ = ["DailySound", "Day", "Today"]

_FORMAT_VERSION = 1
_MAX_WINDOWS = 1024  # of a day; then every second one is forgotten, and of those that follow
_MAX_DAYS = 90


@dataclass(frozen=True, slots=True)
class Day:
    """A day that is over."""

    day: str  # ISO, UTC
    heard_s: float
    normal: NormalSummary

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON knows it."""
        return {"day": self.day, "heard_s": self.heard_s, "normal": self.normal.to_dict()}


@dataclass(slots=True)
class Today:
    """Windows of a day, evenly thinned, so that their quantiles are those of the day."""

    day: str
    heard_s: float = 0.0
    every: int = 1  # which window is kept
    windows: list[tuple[float, ...]] = field(default_factory=list)  # score, near, far dBFS
    _skipped: int = 0

    def add(self, window: tuple[float, ...], heard_s: float) -> None:
        """Take the score and both levels of a window that added so many seconds of sound."""
        self.heard_s += heard_s
        self._skipped += 1
        if self._skipped < self.every:
            return
        self._skipped = 0
        self.windows.append(window)
        if len(self.windows) == _MAX_WINDOWS:
            self.windows = self.windows[1::2]
            self.every *= 2

    def finished(self) -> Day:
        """Return the summary of the day; it has windows."""
        scores = [window[0] for window in self.windows]
        levels = [window[1:] for window in self.windows]
        return Day(self.day, self.heard_s, NormalSummary.measure(scores, levels))

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON knows it."""
        windows = [[float(f"{value:.5g}") for value in window] for window in self.windows]
        content = {"day": self.day, "heard_s": self.heard_s, "every": self.every}
        return content | {"windows": windows}


@dataclass(slots=True)
class DailySound:
    """All that is known of the days."""

    scored_by: str
    enrolled: NormalSummary | None
    announced: NormalSummary | None = None
    days: list[Day] = field(default_factory=list)
    today: Today | None = None

    def end_today(self) -> None:
        """Put the day to those that are over."""
        if self.today and self.today.windows:
            self.days = [*self.days, self.today.finished()][-_MAX_DAYS:]
        self.today = None

    def save(self, path: Path) -> None:
        """Write everything, atomically.

        Raises
        ------
        OSError
            As the system does; the old file is then as it was.
        """
        content = {
            "format_version": _FORMAT_VERSION,
            "scored_by": self.scored_by,
            "enrolled": self.enrolled and self.enrolled.to_dict(),
            "announced": self.announced and self.announced.to_dict(),
            "days": [day.to_dict() for day in self.days],
            "today": self.today and self.today.to_dict(),
        }
        write_atomically(path, json.dumps(content, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return what was saved, or None when there is no file.

        Raises
        ------
        StateError
            When it was written by something else, or is damaged.
        """
        content = read_json(path)
        if content is None:
            return None
        if content.get("format_version") != _FORMAT_VERSION:
            raise StateError(
                f"{path} has format version {content.get('format_version')!r}, expected "
                f"{_FORMAT_VERSION}; move it away to begin anew"
            )
        try:
            return cls(
                str(content["scored_by"]),
                _summary(content["enrolled"]),
                _summary(content["announced"]),
                [_day(day) for day in content["days"]][-_MAX_DAYS:],
                _today(content["today"]) if content["today"] else None,
            )
        except (AttributeError, KeyError, StateError, TypeError, ValueError) as error:
            raise StateError(
                f"{path} is damaged ({error!r}); move it away to begin anew"
            ) from error


def _summary(content: Mapping[str, Any] | None) -> NormalSummary | None:
    return NormalSummary.from_dict(content) if content else None


def _day(content: Mapping[str, Any]) -> Day:
    day, heard_s = _known_day(content)
    return Day(day, heard_s, NormalSummary.from_dict(content["normal"]))


def _today(content: Mapping[str, Any]) -> Today:
    day, heard_s = _known_day(content)
    windows: list[tuple[float, ...]] = [
        (float(score), float(near), float(far)) for score, near, far in content["windows"]
    ]
    every = int(content["every"])
    numbers = [value for window in windows for value in window]
    if every < 1 or len(windows) >= _MAX_WINDOWS or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{len(windows)} windows, every {every}")
    return Today(day, heard_s, every, windows)


def _known_day(content: Mapping[str, Any]) -> tuple[str, float]:
    heard_s = float(content["heard_s"])
    if not 0 <= heard_s < math.inf:
        raise ValueError(f"heard_s {heard_s}")
    return date.fromisoformat(content["day"]).isoformat(), heard_s
