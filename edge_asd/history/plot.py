"""A picture of a history: score against threshold, level, condition, alarms and faults."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_asd.events.event import utc_text
from edge_asd.history.reading import History
from edge_asd.history.summary import Summary

__all__ = ["draw_history"]

_WIDTH, _HEIGHT = 1200, 800
_LEFT, _RIGHT = 80, 1170
_PANELS = ((80, 330), (380, 560), (610, 700))  # top and bottom: score, level, condition
_STRIP = (728, 744)  # heard, deaf, off
_INK, _PALE, _PAPER, _SHADE = "#222222", "#8a8a8a", "#ffffff", "#c9d3e6"
_SCORE, _FAR, _THRESHOLD, _ALARM, _FAULT = "#3b528b", "#5ec962", "#b00020", "#ff3b30", "#e69500"
_HEARD, _OFF = "#8fce9b", "#dddddd"
_STEPS_S = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)  # between two marks of time
_DAY_S = 86_400
_MOST_MARKS = 10
_MOST_MADE = 400  # marks of alarms, of faults

_Pick = Callable[[Summary], float | None]


def draw_history(history: History, machine: str, since_s: int, until_s: int) -> bytes:
    """Return a PNG of 1200 by 800 pixels."""
    sheet = _Sheet(history, since_s, until_s)
    sheet.text((_LEFT, 12), machine, size=18)
    span = " to ".join(
        utc_text(datetime.fromtimestamp(time, UTC))[:16] for time in (since_s, until_s)
    )
    sheet.text((_LEFT, 40), f"{span} UTC, {history.span.table}", size=13)
    sheet.marks("alarm_raised", _ALARM, _PANELS[0][0] - 6)
    sheet.score()
    sheet.level()
    sheet.condition()
    sheet.strip()
    sheet.marks("fault_raised", _FAULT, _STRIP[0] - 18, _STRIP[0] - 4)
    sheet.time_axis()
    sheet.legend()
    file = io.BytesIO()
    sheet.image.quantize(64, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return file.getvalue()


class _Sheet:
    """What is drawn on, and what is drawn."""

    def __init__(self, history: History, since_s: int, until_s: int) -> None:
        self.image = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
        self._draw = ImageDraw.Draw(self.image)
        self._history = history
        self._since_s, self._until_s = since_s, max(until_s, since_s + 1)

    def text(
        self, at: tuple[float, float], text: str, *, size: int = 12, anchor: str = "la"
    ) -> None:
        self._draw.text(at, text, fill=_INK, font=ImageFont.load_default(size), anchor=anchor)

    def score(self) -> None:
        parts = [part for part in self._history.summaries if part.score_p95 is not None]
        shown = [part.score_p95 or 0.0 for part in parts]
        shown += [1.1 * part.threshold for part in parts if part.threshold is not None]
        lows = [part.score_p05 or 0.0 for part in parts]
        low, high = _limits([*lows, *shown])
        to_y = self._axis(0, "score: median, and 5 to 95 % of the windows", low, high)
        for part in parts:
            left, right = self._x(part.start), self._x(part.start + self._history.span.seconds)
            top, bottom = to_y(part.score_p95 or 0.0), to_y(part.score_p05 or 0.0)
            self._draw.rectangle((left, top, max(right, left), bottom), fill=_SHADE)
        self._line(parts, lambda part: part.score_p50, to_y, _SCORE)
        self._line(parts, lambda part: part.threshold, to_y, _THRESHOLD)

    def level(self) -> None:
        parts = [part for part in self._history.summaries if part.near_dbfs is not None]
        both = [dbfs for part in parts for dbfs in (part.near_dbfs, part.far_dbfs)]
        low, high = _limits([dbfs for dbfs in both if dbfs is not None])
        to_y = self._axis(1, "level, dBFS", low, high)
        self._line(parts, lambda part: part.far_dbfs, to_y, _FAR)
        self._line(parts, lambda part: part.near_dbfs, to_y, _SCORE)

    def condition(self) -> None:
        to_y = self._axis(2, "condition, 0 as enrolled, 100 alarm", 0.0, 100.0)
        self._line(self._history.summaries, lambda part: part.condition, to_y, _SCORE)

    def strip(self) -> None:
        """What the monitor did: a pixel is what most of its time was."""
        n = _RIGHT - _LEFT
        run = np.zeros((2, n + 1))  # heard, deaf: share of each pixel
        span_s = self._history.span.seconds
        pixel_s = (self._until_s - self._since_s) / n
        for part in self._history.summaries:
            first = max(int(self._x(part.start) - _LEFT), 0)
            last = max(int(self._x(part.start + span_s) - _LEFT), first + 1)
            share = np.array([part.heard_s, part.deaf_s]) / max(span_s, pixel_s)
            run[:, first:last] += share[:, None]
        for x in range(n):
            heard, deaf = run[:, x]
            off = 1.0 - heard - deaf
            colour = _HEARD if heard >= max(deaf, off) else _FAULT if deaf >= off else _OFF
            self._draw.line([(_LEFT + x, _STRIP[0]), (_LEFT + x, _STRIP[1])], colour)

    def marks(self, event: str, colour: str, top: int, bottom: int = _PANELS[-1][1]) -> None:
        times = [
            datetime.fromisoformat(str(one.get("time"))).timestamp()
            for one in self._history.events
            if one.get("event") == event
        ]
        for time in times[-_MOST_MADE:]:
            x = self._x(time)
            self._draw.line([(x, top), (x, bottom)], colour)
            self._draw.polygon([(x - 5, top - 8), (x + 5, top - 8), (x, top)], colour)

    def time_axis(self) -> None:
        span_s = self._until_s - self._since_s
        steps = (*_STEPS_S, *(n * _DAY_S for n in (1, 2, 7, 14, 30, 91, 182, 365, 730)))
        step_s = next((step for step in steps if span_s / step <= _MOST_MARKS), span_s)
        for time in range(-(-self._since_s // step_s) * step_s, self._until_s, step_s):
            x = self._x(time)
            text = utc_text(datetime.fromtimestamp(time, UTC))
            self._draw.line([(x, _STRIP[1]), (x, _STRIP[1] + 5)], _INK)
            self.text((x, _STRIP[1] + 7), text[:10], anchor="ma")
            if step_s < _DAY_S:
                self.text((x, _STRIP[1] + 21), text[11:16], anchor="ma")

    def legend(self) -> None:
        entries = (
            *((_SCORE, "near, score"), (_FAR, "far"), (_THRESHOLD, "threshold")),
            *((_ALARM, "alarm"), (_FAULT, "fault, deaf"), (_HEARD, "heard"), (_OFF, "off")),
        )
        x = _RIGHT - 640.0
        for colour, text in entries:
            self._draw.line([(x, 47), (x + 18, 47)], colour, width=4)
            self.text((x + 23, 47), text, anchor="lm")
            x += 41 + 6.5 * len(text)

    def _axis(self, panel: int, name: str, low: float, high: float) -> Callable[[float], float]:
        top, bottom = _PANELS[panel]

        def to_y(value: float) -> float:
            return bottom - min(max((value - low) / (high - low), 0.0), 1.0) * (bottom - top)

        self._draw.rectangle((_LEFT, top, _RIGHT, bottom), outline=_PALE)
        for share in (0.0, 0.5, 1.0):
            value = low + share * (high - low)
            self.text((_LEFT - 8, to_y(value)), f"{value:.3g}", anchor="rm")
        self.text((_LEFT, top - 18), name, size=13)
        return to_y

    def _line(
        self, parts: Iterable[Summary], pick: _Pick, to_y: Callable[[float], float], colour: str
    ) -> None:
        """A line, broken where nothing is known."""
        points: list[tuple[float, float]] = []
        until = None
        span_s = self._history.span.seconds
        for part in parts:
            value = pick(part)
            if value is None:
                continue
            if until is not None and part.start > until:
                self._stroke(points, colour)
                points = []
            points.append((self._x(part.start + span_s / 2), to_y(value)))
            until = part.start + span_s
        self._stroke(points, colour)

    def _stroke(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        if len(points) == 1:
            ((x, y),) = points
            points = [(x - 1, y), (x + 1, y)]
        if points:
            self._draw.line(list(points), colour, width=2)

    def _x(self, time_s: float) -> float:
        share = (time_s - self._since_s) / (self._until_s - self._since_s)
        return _LEFT + min(max(share, 0.0), 1.0) * (_RIGHT - _LEFT)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis with all values; a few that are far away are cut off."""
    if not values:
        return 0.0, 1.0
    low, high = float(np.min(values)), float(np.max(values))
    middle_low, middle_high = np.percentile(values, [1.0, 99.0]).tolist()
    room = max(middle_high - middle_low, 1e-6 * max(abs(high), 1.0))
    return max(low, middle_low - 2 * room) - 0.05 * room, min(high, middle_high + 2 * room) + (
        0.05 * room
    )
