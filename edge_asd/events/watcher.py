"""What looks at everything that passes through the monitor, and may say something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event
from edge_asd.events.moment import Moment

if TYPE_CHECKING:
    from edge_asd.learn.opened_machine import OpenedMachine
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["Watcher"]


class Watcher:
    """Does nothing; what watches overrides what it needs.

    All methods run in the monitor's thread. Events that they return go to the outputs.
    """

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Look at audio (2, n) at the bundle's rate that ends at `at`."""
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        """Hear that audio is missing right before `at`."""
        return ()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Look at a scored window that ends at `at`; `state` of the alarm after it."""
        return ()

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Compare with what was learned on site from now on."""
        return ()

    def on_tick(self, at: Moment) -> Iterable[Event]:
        """Look at what is so now; called several times a second, also while nothing is heard."""
        return ()

    def on_event(self, event: Event) -> None:
        """Hear what the outputs hear."""

    def close(self) -> None:
        """Finish; nothing follows."""
