"""A LiveSource on a simulated card, and what it reported."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.simulated_card import Opening, SimulatedCard, SimulatedTime
from edge_asd.audio.block import Block, Gap
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import DeviceNotFoundError
from edge_asd.events.fault import FaultChange
from edge_asd.profile import load_profile

__all__ = ["MISSING", "RATE_HZ", "SETTINGS", "Listener", "audible", "gaps"]

RATE_HZ = 16000
SETTINGS = load_profile().capture
MISSING = DeviceNotFoundError("no sound device 'hw:1'; there are none")


class Listener:
    """Reads a source for so long as a test wants.

    Parameters
    ----------
    plan : what happens at each attempt to open the card
    root : where the kernel lists its cards
    card : the kind of card
    block_s : length of its blocks
    settings : other values than the profile's
    """

    def __init__(
        self,
        plan: Iterable[Opening | Exception],
        *,
        root: Path = Path("/nonexistent"),
        card: type[SimulatedCard] = SimulatedCard,
        block_s: float = 0.1,
        **settings: Any,
    ) -> None:
        self.time = SimulatedTime()
        self.card = card(self.time, plan, block_s=block_s)
        self.changes: list[FaultChange] = []
        self.stop = threading.Event()
        self.source = LiveSource(
            "hw:1",
            SETTINGS.model_copy(update=settings),
            sample_rate_hz=RATE_HZ,
            report=self.changes.append,
            stop=self.stop,
            clock=self.time,
            root=root,
            opener=self.card.open,
            sleep=self.time.advance,
        )

    def until(self, seconds: float) -> list[Block | Gap]:
        """What it hands on until so much time has passed since the start."""
        items: list[Block | Gap] = []
        while self.time() < seconds and (item := self.source.read()) is not None:
            items.append(item)
        return items

    @property
    def state(self) -> str:
        return self.source.state

    @property
    def story(self) -> list[tuple[str, bool]]:
        return [(change.fault.name, change.active) for change in self.changes]


def audible(items: Iterable[Block | Gap]) -> list[Block]:
    return [item for item in items if isinstance(item, Block) and item.n_frames]


def gaps(items: Iterable[Block | Gap]) -> list[Gap]:
    return [item for item in items if isinstance(item, Gap)]
