"""A history in lines that people read: each day, or each month of a long time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edge_asd.history.reading import History
from edge_asd.history.summary import Summary

__all__ = ["Period", "Uptime", "periods", "sparkline", "uptime"]

_MOST_DAYS = 62  # in lines of their own; then months
_CELLS = 12
_BLOCKS = "▁▂▃▄▅▆▇"
_FULL = "█"


@dataclass(frozen=True, slots=True)
class Uptime:
    """How long a monitor heard, was deaf, and was off."""

    heard_s: float
    deaf_s: float
    off_s: float


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month; None, where nothing was scored or heard."""

    name: str  # 11-22, or 2026-11
    scores: list[float | None]  # that 95 % of the windows of each cell are below
    above: list[bool]  # whether that is above the threshold
    levels_dbfs: list[float | None]  # near, of each cell
    score_p95: float | None  # highest of the days
    near_dbfs: float | None
    condition: float | None
    alarms: int
    faults: int
    uptime: Uptime


def periods(history: History, since_s: int, until_s: int) -> list[Period]:
    """Return the days, or the months where they are many, the oldest first."""
    if until_s - since_s <= _MOST_DAYS * 86_400:
        parts, days_each = history.hours, True
    else:
        parts, days_each = history.days, False
    first_s = max(since_s, _first(history, parts, until_s))
    return [
        _period(start, end, days_each, parts, first_s, until_s)
        for start, end in _calendar(first_s, until_s, days_each=days_each)
    ]


def uptime(summaries: Sequence[Summary], since_s: int, until_s: int) -> Uptime:
    """Return how long of a time the monitor heard, was deaf, and was off."""
    heard_s = sum(summary.heard_s for summary in summaries)
    deaf_s = sum(summary.deaf_s for summary in summaries)
    return Uptime(heard_s, deaf_s, max(until_s - since_s - heard_s - deaf_s, 0.0))


def sparkline(
    values: Sequence[float | None], low: float, high: float, full: Sequence[bool] = ()
) -> str:
    """Return a character for each value: a space for none, the full block where `full` says so."""
    span = max(high - low, 1e-9)
    line = []
    for place, value in enumerate(values):
        if value is None:
            line.append(" ")
        elif place < len(full) and full[place]:
            line.append(_FULL)
        else:
            share = min(max((value - low) / span, 0.0), 1.0)
            line.append(_BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)])
    return "".join(line)


def _first(history: History, parts: Sequence[Summary], until_s: int) -> int:
    """When recording began, as exactly as it is known."""
    first = parts[0].start if parts else until_s
    hour = history.hours[0].start if history.hours else first
    return hour if first <= hour < first + 86_400 else first


def _calendar(since_s: int, until_s: int, *, days_each: bool) -> Iterator[tuple[int, int]]:
    start = datetime.fromtimestamp(since_s, UTC).replace(hour=0, minute=0, second=0)
    if not days_each:
        start = start.replace(day=1)
    while start.timestamp() < until_s:
        end = start + timedelta(days=1 if days_each else 32)
        if not days_each:
            end = end.replace(day=1)
        yield round(start.timestamp()), round(end.timestamp())
        start = end


def _period(
    start: int, end: int, days_each: bool, parts: Sequence[Summary], since_s: int, until_s: int
) -> Period:
    inside = [part for part in parts if start <= part.start < end]
    cells: list[list[Summary]] = [[] for _ in range(_CELLS)]
    for part in inside:
        cells[(part.start - start) * _CELLS // (end - start)].append(part)
    day = datetime.fromtimestamp(start, UTC).date().isoformat()
    return Period(
        name=day[5:] if days_each else day[:7],
        scores=[_highest(part.score_p95 for part in cell) for cell in cells],
        above=[any(_is_above(part) for part in cell) for cell in cells],
        levels_dbfs=[_level(cell) for cell in cells],
        score_p95=_highest(part.score_p95 for part in inside),
        near_dbfs=_level(inside),
        condition=_highest(part.condition for part in inside),
        alarms=sum(part.events.get("alarm_raised", 0) for part in inside),
        faults=sum(part.events.get("fault_raised", 0) for part in inside),
        uptime=uptime(inside, max(start, since_s), min(end, until_s)),
    )


def _is_above(part: Summary) -> bool:
    known = part.score_p95 is not None and part.threshold is not None
    return known and (part.score_p95 or 0.0) > (part.threshold or 0.0)


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _level(parts: Sequence[Summary]) -> float | None:
    """Level of all sound together."""
    known = [(part.near_dbfs, part.sound_s) for part in parts if part.near_dbfs is not None]
    sound_s = sum(seconds for _, seconds in known)
    if not sound_s:
        return None
    return 10 * math.log10(sum(s * 10 ** (dbfs / 10) for dbfs, s in known) / sound_s)
