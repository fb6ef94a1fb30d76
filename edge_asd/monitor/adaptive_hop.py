"""How often windows are scored: less often when the hardware is too slow.

A hop that the hardware cannot keep up with would let the delay grow until audio is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_asd.audio.block import Source
from edge_asd.events.event import Event, HopChangedEvent
from edge_asd.events.fault import Report, ended, noticed
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.scoring.stream import MAX_LOAD, ScoredStream, ScoredWindow

if TYPE_CHECKING:
    from edge_asd.learn.opened_machine import OpenedMachine

__all__ = ["AdaptiveHop", "HopWatcher"]

_STEP = 1.5  # from one hop to the next wider one
_ROOM = 0.6  # share that the next narrower hop would take, before it is tried
_SMOOTHING = 0.3  # weight of the newest window
_SETTLING = 3  # windows before a hop is judged
_GROWING = 3  # times in a row that a backlog grows before it counts, as it does after a hiccup
_PATIENCE_S = 60.0  # of room, before the hop narrows; doubles when that was too early
_MAX_PATIENCE_S = 3600.0


class AdaptiveHop:
    """The hop, and when to change it.

    As long as a window takes less than `max_hop_s`, the backlog stays bounded, and when
    it takes less than the hop again for a while, the hop returns.

    Parameters
    ----------
    hop_s : as wanted
    max_hop_s : the widest
    """

    def __init__(self, hop_s: float, max_hop_s: float) -> None:
        wider = (hop_s * _STEP**i for i in itertools.count())
        narrower = itertools.takewhile(lambda step_s: step_s < max_hop_s, wider)
        self._hops_s = (*narrower, max(max_hop_s, hop_s))
        self._step = 0
        self._max_backlog_s = 2 * hop_s  # that may wait before its growth counts
        self._patience_s = _PATIENCE_S
        self._narrowed_s = float("inf")  # how long ago
        self._backlog_s = 0.0
        self._busy_s = 0.0  # smoothed
        self._windows = -1  # with this hop; a detector's first one also loads and allocates
        self._growing = 0  # times in a row
        self._room_s = 0.0

    @property
    def hop_s(self) -> float:
        """Seconds from one window to the next."""
        return self._hops_s[self._step]

    @property
    def widened(self) -> bool:
        """Whether it is wider than wanted."""
        return self._step > 0

    def update(self, busy_s: float, backlog_s: float) -> str | None:
        """Take how long a window took and how much audio waits after it.

        Returns
        -------
        Why the hop changed, or None when it did not.
        """
        self._windows += 1
        self._narrowed_s += self.hop_s
        if not self._windows:
            return None
        weight = max(_SMOOTHING, 1 / self._windows)
        self._busy_s += weight * (busy_s - self._busy_s)
        grows = backlog_s > max(self._max_backlog_s, self._backlog_s)
        self._growing = self._growing + 1 if grows else 0
        self._backlog_s = backlog_s
        if self._windows < _SETTLING:
            return None
        if self._step + 1 < len(self._hops_s) and self._too_slow:
            return self._widen()
        return self._narrow_after_room()

    @property
    def _too_slow(self) -> bool:
        return self._busy_s > MAX_LOAD * self.hop_s or self._growing >= _GROWING

    def _widen(self) -> str:
        busy_s, before_s, growing = self._busy_s, self.hop_s, self._growing >= _GROWING
        too_early = self._narrowed_s < self._patience_s
        self._patience_s = min(2 * self._patience_s, _MAX_PATIENCE_S) if too_early else _PATIENCE_S
        self._step += 1
        while self._step + 1 < len(self._hops_s) and busy_s > MAX_LOAD * self.hop_s:
            self._step += 1
        self.begin(0)
        reason = f"scoring takes {busy_s:.2f} s of every {before_s:.2f} s"
        if growing:
            reason = f"{self._backlog_s:.1f} s of audio wait, and more each time; {reason}"
        return f"{reason}: a window every {self.hop_s:.2f} s from now on"

    def _narrow_after_room(self) -> str | None:
        if not self._step:
            return None
        narrower_s = self._hops_s[self._step - 1]
        room = self._busy_s < _ROOM * narrower_s and self._backlog_s <= self._max_backlog_s
        self._room_s = self._room_s + self.hop_s if room else 0.0
        if self._room_s < self._patience_s:
            return None
        busy_s = self._busy_s
        self._step -= 1
        self._narrowed_s = 0.0
        self.begin(0)
        if not self._step:
            return f"scoring takes {busy_s:.2f} s: back to a window every {self.hop_s:.2f} s"
        return f"scoring takes {busy_s:.2f} s: a window every {self.hop_s:.2f} s from now on"

    def begin(self, windows: int = -1) -> None:
        """Judge by the windows that follow alone, without the first of a new detector."""
        self._windows = windows
        self._busy_s = 0.0
        self._growing = 0
        self._room_s = 0.0


class HopWatcher(Watcher):
    """Changes the hop of a stream that is scored too slowly, and says so.

    Parameters
    ----------
    source : live sound, whose backlog grows
    report : hears that the hardware is too slow, and that it is no more
    """

    def __init__(
        self, hop: AdaptiveHop, stream: ScoredStream, source: Source, report: Report
    ) -> None:
        self._hop = hop
        self._stream = stream
        self._source = source
        self._report = report

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Judge how long the window took."""
        backlog_s = self._source.backlog_s
        reason = self._hop.update(window.busy_s, backlog_s)
        if reason is None:
            return ()
        hop_s = self._stream.hop_s = self._hop.hop_s
        if self._hop.widened:
            self._report(noticed("overload", reason, hop_s=hop_s, backlog_s=backlog_s))
        else:
            self._report(ended("overload", reason, hop_s=hop_s))
        return (HopChangedEvent(**at.facts(), hop_s=hop_s, reason=reason),)

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Do not judge the new detector by its first window."""
        self._hop.begin()
        return ()
