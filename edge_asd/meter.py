"""The live view in a terminal: both levels, the score against its threshold, the alarm.

It is a sink for events and looks at the blocks as they pass, because levels should move
more often than once per window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Self

import numpy as np
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_asd.audio import SILENCE_DBFS, level_dbfs
from edge_asd.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AudioGapEvent,
    Event,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.source import Block

__all__ = ["Meter", "sparkline"]

_HISTORY = 60  # scores in the sparkline
_BAR_WIDTH = 40
_FLOOR_DBFS = -72.0  # left end of the level bars
_WARN_DBFS = -6.0  # peaks from here up are close to clipping
_SPARKS = "▁▂▃▄▅▆▇█"


class Meter:
    """The live view; a context manager that owns the lower lines of the terminal.

    Parameters
    ----------
    console : where it draws
    backlog_s : asks how many seconds of audio wait to be scored
    """

    def __init__(self, console: Console, backlog_s: Callable[[], float]) -> None:
        self._backlog_s = backlog_s
        self._levels = np.full(2, SILENCE_DBFS)
        self._peaks = np.full(2, SILENCE_DBFS)
        self._scores: deque[float] = deque(maxlen=_HISTORY)
        self._started: StartedEvent | None = None
        self._last: ScoreEvent | None = None
        self._alarm_since: datetime | None = None
        self._position_s = 0.0
        self._gaps = 0
        self._live = Live(console=console, get_renderable=self._view, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def watch(self, blocks: Iterable[Block], sample_rate_hz: int) -> Iterator[Block]:
        """Pass the blocks on and show their levels."""
        for block in blocks:
            if block.audio.size:
                self._levels = level_dbfs(block.audio)
                peak = 20 * np.log10(np.maximum(np.abs(block.audio).max(axis=1), 1e-6))
                fall_db = 20.0 * block.n_frames / sample_rate_hz  # so a peak can be read
                self._peaks = np.maximum(peak, self._peaks - fall_db)
                self._position_s = block.end_frame / sample_rate_hz
            yield block

    def emit(self, event: Event) -> None:
        """Show an event: scores in the view, everything rare as a line above it."""
        match event:
            case StartedEvent():
                self._started = event
            case ScoreEvent():
                self._last = event
                self._scores.append(event.score)
            case AlarmRaisedEvent():
                self._alarm_since = event.time
                self._say(event, f"ALARM  score {event.score:.3f} > {event.threshold:.3f}", "red")
            case AlarmClearedEvent():
                self._alarm_since = None
                self._say(event, f"cleared after {event.duration_s:.1f} s", "green")
            case AudioGapEvent():
                self._gaps += 1
                lost = "" if event.lost_s is None else f", {event.lost_s:.1f} s lost"
                self._say(event, f"gap: {event.reason}{lost}", "yellow")
            case StoppedEvent():
                self._say(
                    event,
                    f"{event.reason} after {event.seconds:.1f} s: {event.windows} windows, "
                    f"alarms: {event.alarms}, dropped frames: {event.dropped_frames}",
                    "cyan",
                )

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()

    def _say(self, event: Event, text: str, style: str) -> None:
        clock = event.time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        self._live.console.print(Text(f"{clock}  {event.machine}  {text}", style))

    def _view(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, level, peak in zip(("near", "far"), self._levels, self._peaks, strict=True):
            style = "red" if peak > _WARN_DBFS else "green"
            table.add_row(
                name,
                _bar(1 - level / _FLOOR_DBFS, style),
                f"{level:6.1f} dBFS  peak {peak:6.1f}",
            )
        if self._last is not None:
            score, threshold = self._last.score, self._last.threshold
            scores = tuple(self._scores)  # the loop adds to it in another thread
            table.add_row(
                "score",
                _bar(_fraction(score, scores, threshold), "red" if score > threshold else "green"),
                f"{score:.3f}  threshold {threshold:.3f}",
            )
            table.add_row("", Text(sparkline(scores, threshold)), "")
        return Group(table, self._state())

    def _state(self) -> Text:
        if self._alarm_since is not None:
            since = self._alarm_since.astimezone().strftime("%H:%M:%S")
            state = Text(f" ALARM since {since} ", "bold white on red")
        elif self._last is not None:
            state = Text(" normal ", "bold white on green")
        elif self._started is not None:
            missing_s = max(self._started.window_s - self._position_s, 0.0)
            state = Text(f" first score in {missing_s:.1f} s ", "bold")
        else:
            state = Text()
        where = f"{self._started.machine} on {self._started.source}  " if self._started else ""
        state.append(
            f"  {where}{self._position_s:.0f} s  lag {self._backlog_s():.1f} s  gaps {self._gaps}",
            "default not bold",
        )
        return state


def sparkline(scores: Iterable[float], threshold: float) -> str:
    """One character per score; the threshold lies in the middle of the scale."""
    values = list(scores)
    top = len(_SPARKS) - 1
    return "".join(
        _SPARKS[min(int(len(_SPARKS) * _fraction(value, values, threshold)), top)]
        for value in values
    )


def _fraction(score: float, history: Iterable[float], threshold: float) -> float:
    """Place of a score on a scale from the lowest score, or 0, to twice the threshold's."""
    low = min([0.0, threshold, *history])
    if threshold == low:
        return float(score > threshold)
    return min((score - low) / (2 * (threshold - low)), 1.0)


def _bar(fraction: float, style: str) -> Bar:
    return Bar(1.0, 0.0, min(max(fraction, 0.0), 1.0), width=_BAR_WIDTH, color=style)
