"""The live view in a terminal: both levels, the score against its threshold, the alarm.

It looks at the blocks as they pass, because levels should move more often than once per
window. It is never green while the monitor hears nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_asd.audio.block import CHANNELS
from edge_asd.audio.level import SILENCE_DBFS, level_dbfs, peak_dbfs
from edge_asd.events.event import (
    AlarmAcknowledgedEvent,
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AlarmShelvedEvent,
    AlarmUnshelvedEvent,
    AudioGapEvent,
    Event,
    FaultClearedEvent,
    FaultRaisedEvent,
    HopChangedEvent,
    NoticeEvent,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.events.moment import Moment, duration
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher

__all__ = ["Meter", "sparkline"]

_BAR_WIDTH = 40  # also scores in the sparkline
_FLOOR_DBFS = -72.0  # left end of the level bars
_WARN_DBFS = -6.0  # peaks from here up are close to clipping
_SPARKS = "▁▂▃▄▅▆▇█"
_PAUSE_S = 0.125  # from one picture to the next
_MOST_LINES = 1000  # that wait while the terminal is stopped
_DEAF_AFTER_S = 3.0  # without audio; PulseAudio delivers in bursts of two seconds
_STYLES = {
    "normal": "bold white on green",
    "cleared": "bold white on green",
    "warning": "bold black on yellow",
    "shelved": "bold white on blue",
    "commissioning": "bold white on blue",
    "acknowledged": "bold white on dark_orange3",
    "alarm": "bold white on red",
}
_DEAF_STYLE = "bold white on magenta"  # also of a state that has no style of its own


class Meter(Watcher):
    """The live view; it owns the lower lines of the terminal until it is closed.

    It is drawn by a thread of its own: nothing waits for a terminal that is stopped.

    Parameters
    ----------
    console : where it draws
    board : what the monitor says of itself
    now_s : seconds that never run backwards, to see that audio stays away; None for a
        recording, which takes as long as it takes
    """

    def __init__(
        self, console: Console, board: StatusBoard, now_s: Callable[[], float] | None = None
    ) -> None:
        self._board = board
        self._now_s = now_s
        self._levels = np.full(2, SILENCE_DBFS)
        self._peaks = np.full(2, SILENCE_DBFS)
        self._scores: deque[float] = deque(maxlen=_BAR_WIDTH)
        self._window_s: float | None = None  # None: the monitor has not started
        self._alarm_since: datetime | None = None
        self._position_s = 0.0
        self._said: deque[Text] = deque(maxlen=_MOST_LINES)
        # What is printed beside it, on standard error, passes it by as it does without it.
        self._live = Live(
            console=console,
            get_renderable=self._view,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="meter", daemon=True)
        self._thread.start()

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Show the levels."""
        audio = np.nan_to_num(audio)  # a broken driver may deliver no numbers
        self._levels = level_dbfs(audio)
        peak = peak_dbfs(audio)
        fall_db = 20.0 * max(at.stream_time_s - self._position_s, 0.0)  # so a peak can be read
        self._peaks = np.maximum(peak, self._peaks - fall_db)
        self._position_s = at.stream_time_s
        return ()

    def on_event(self, event: Event) -> None:
        """Show an event: scores in the view, everything rare as a line above it."""
        match event:
            case StartedEvent():
                self._window_s = event.window_s
                if event.promise:
                    self._say(event, event.promise, "cyan")
            case ScoreEvent():
                self._scores.append(event.score)
            case AlarmRaisedEvent():
                self._alarm_since = event.time
                why = f": {event.explanation.text}" if event.explanation else ""
                text = f"ALARM  score {event.score:.3f} > {event.threshold:.3f}{why}"
                self._say(event, text, "red")
            case AlarmClearedEvent():
                self._say(event, f"cleared after {event.duration_s:.1f} s", "green")
            case AlarmAcknowledgedEvent():
                self._say(event, f"acknowledged {event.note}".rstrip(), "dark_orange3")
            case AlarmShelvedEvent():
                until = event.until.astimezone().strftime("%Y-%m-%d %H:%M")
                self._say(event, f"shelved until {until} {event.note}".rstrip(), "blue")
            case AlarmUnshelvedEvent():
                self._say(event, f"alarms are raised again ({event.reason})", "blue")
            case FaultRaisedEvent():
                self._say(event, f"FAULT  {event.meaning}: {event.detail}", "magenta")
            case FaultClearedEvent():
                self._say(event, f"fault over: {event.detail}", "magenta")
            case AudioGapEvent():
                lost = "" if event.lost_s is None else f", {event.lost_s:.1f} s lost"
                self._say(event, f"gap: {event.reason}{lost}", "yellow")
            case HopChangedEvent():
                self._say(event, f"a window every {event.hop_s:g} s: {event.reason}", "yellow")
            case NoticeEvent():
                self._say(event, event.text, "cyan")
            case StoppedEvent():
                self._say(
                    event,
                    f"{event.reason} after {event.seconds:.1f} s: {event.windows} windows, "
                    f"alarms: {event.alarms}, dropped frames: {event.dropped_frames}",
                    "cyan",
                )

    def close(self, deadline_s: float = 2.0) -> None:
        """Give the terminal back, unless it is stopped."""
        self._done.set()
        self._thread.join(deadline_s)

    def _say(self, event: Event, text: str, style: str) -> None:
        clock = event.time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        self._said.append(Text(f"{clock}  {event.machine}  {text}", style))

    def _draw(self) -> None:
        with self._live:
            while True:
                done = self._done.wait(_PAUSE_S)
                while self._said:
                    self._live.console.print(self._said.popleft())
                self._live.refresh()
                if done:
                    return

    def _view(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, level, peak in zip(CHANNELS, self._levels, self._peaks, strict=True):
            style = "red" if peak > _WARN_DBFS else "green"
            table.add_row(
                name,
                _bar(1 - level / _FLOOR_DBFS, style),
                f"{level:6.1f} dBFS  peak {peak:6.1f}",
            )
        if scores := tuple(self._scores):  # the loop adds to it in another thread
            score, threshold = scores[-1], self._board.status.threshold
            table.add_row(
                "score",
                _bar(_fraction(score, scores, threshold), "red" if score > threshold else "green"),
                f"{score:.3f}  threshold {threshold:.3f}",
            )
            table.add_row("", Text(sparkline(scores, threshold)), "")
        return Group(table, self._state())

    def _state(self) -> Text:
        status = self._board.status
        now_s = status.updated_s if self._now_s is None else self._now_s()
        said = status.state(now_s)
        if deaf := self._deaf():
            state = Text(f" DEAF: {deaf} ", _DEAF_STYLE)
        elif said in ("alarm", "acknowledged") and self._alarm_since is not None:
            since = self._alarm_since.astimezone().strftime("%H:%M:%S")
            state = Text(f" {said.upper()} since {since} ", _STYLES[said])
        elif said == "commissioning" and status.commissioning_left_s is not None:
            left = duration(status.commissioning_left_s)
            state = Text(f" commissioning, {left} left ", _STYLES[said])
        elif self._scores or said != "unknown":
            state = Text(f" {said} ", _STYLES.get(said, _DEAF_STYLE))
        elif self._window_s is not None:
            missing_s = max(self._window_s - status.audio_s, 0.0)
            state = Text(f" first score in {missing_s:.1f} s ", "bold")
        else:
            state = Text()
        impaired = [fault for fault in status.faults if fault.severity != "minor"]
        if impaired and not deaf:
            state.append(f" {', '.join(fault.meaning for fault in impaired)} ", _DEAF_STYLE)
        where = "" if self._window_s is None else f"{status.machine} on {status.source}  "
        state.append(
            f"  {where}{status.audio_s:.0f} s  lag {status.backlog_s:.1f} s  gaps {status.gaps}",
            "default not bold",
        )
        return state

    def _deaf(self) -> str | None:
        """Why nothing can be heard, if so."""
        status = self._board.status
        for fault in status.faults:
            if fault.severity == "deaf":
                return fault.meaning
        if self._now_s and status.audio_at_s is not None:
            silent_s = self._now_s() - status.audio_at_s
            if silent_s > _DEAF_AFTER_S:
                return f"no sound for {silent_s:.0f} s"
        return None


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
