"""The normal sound of each day, in a file that survives restarts and stays small."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, PrivateAttr

from edge_asd.drift.condition_index import NormalTail
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.state.record import Finite, StateRecord

__all__ = ["DailySound", "Day", "Today"]

_MAX_WINDOWS = 1024  # of a day; then every second one is forgotten, and of those that follow
_MAX_DAYS = 90


IsoDay = Annotated[str, AfterValidator(lambda day: date.fromisoformat(day).isoformat())]  # UTC
Seconds = Annotated[Finite, Field(ge=0)]
Window = Annotated[  # score, level of near and of far in dBFS
    tuple[Finite, Finite, Finite],
    PlainSerializer(lambda values: [float(f"{value:.5g}") for value in values], when_used="json"),
]


class Day(StateRecord):
    """A day that is over."""

    day: IsoDay
    heard_s: Seconds
    normal: NormalSummary
    condition: Finite | None = None  # index of the day (edge_asd.drift.condition_index)


class Today(StateRecord):
    """Windows of a day, evenly thinned, so that their quantiles are those of the day."""

    model_config = ConfigDict(frozen=False)

    day: IsoDay
    heard_s: Seconds = 0.0
    every: Annotated[int, Field(ge=1)] = 1  # which window is kept
    windows: list[Window] = Field(default_factory=list, max_length=_MAX_WINDOWS - 1)
    n_scored: Annotated[int, Field(ge=0)] = 0  # windows, also those of a warning or an alarm
    rarity: Finite = 0.0  # of all these together
    _skipped: int = PrivateAttr(0)

    def add(self, window: tuple[float, float, float], heard_s: float) -> None:
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

    def judge(self, rarity: float) -> None:
        """Take the rarity of a window, whatever the alarm says of it."""
        self.n_scored += 1
        self.rarity += rarity

    def finished(self, tail: NormalTail | None = None) -> Day:
        """Return the summary of the day; it has windows."""
        scores = [window[0] for window in self.windows]
        levels = [window[1:] for window in self.windows]
        normal = NormalSummary.measure(scores, levels)
        condition = None
        if tail is not None and self.n_scored:
            condition = round(tail.index(self.rarity / self.n_scored), 1)
        return Day(day=self.day, heard_s=self.heard_s, normal=normal, condition=condition)


class DailySound(StateRecord):
    """Content of ``daily.json``: all that is known of the days."""

    model_config = ConfigDict(frozen=False)

    format_version: Literal[1] = 1
    scored_by: str  # what gave the scores; days of something else go
    enrolled: NormalSummary | None  # what the days are compared with
    announced: NormalSummary | None = None  # the last day that was spoken of
    days: list[Day] = Field(default_factory=list)
    today: Today | None = None

    def end_today(self, tail: NormalTail | None = None) -> None:
        """Put the day to those that are over."""
        if self.today and self.today.windows:
            self.days = [*self.days, self.today.finished(tail)][-_MAX_DAYS:]
        self.today = None
