"""The whole runtime on a simulated sound card: what happens in months, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from device.mini_bundle import MACHINE, machine_sound
from numpy.typing import NDArray

from benchmarks.simulated_card import Outage, SimulatedCard, SimulatedTime, openings_between
from benchmarks.simulated_monitor import simulated_monitor
from edge_asd.bundle.bundle import Bundle
from edge_asd.events.event import Event, StoppedEvent
from edge_asd.events.watcher import Watcher
from edge_asd.monitor.monitor import Monitor
from edge_asd.outputs import Output
from edge_asd.profile import Profile, load_profile

Kind = TypeVar("Kind", bound=Event)

NORMAL = machine_sound(20, seed=1)
FAULTY = machine_sound(20, seed=2, faulty=True)
RATE_HZ = SimulatedCard.sample_rate_hz


class Kept:
    """An output that keeps all events."""

    name = "kept"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def counters(self) -> dict[str, int]:
        return {"sent": len(self.events)}

    def close(self) -> None:
        """Keep them."""

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]


def sound_of(faulty: Callable[[float], bool]) -> Callable[[float], NDArray[np.float32]]:
    """A machine that is faulty at some seconds."""

    def second(now_s: float) -> NDArray[np.float32]:
        start = int(now_s) % 20 * RATE_HZ
        return (FAULTY if faulty(now_s) else NORMAL)[:, start : start + RATE_HZ]

    return second


@dataclass
class Rig:
    """One monitor in simulated time; everything but the card and the clock is real."""

    bundle: Path
    root: Path
    sound: Callable[[float], NDArray[np.float32]] = field(
        default_factory=lambda: sound_of(lambda _: False)
    )
    outages: Sequence[Outage] = ()
    profile: Profile = field(default_factory=load_profile)
    environment: Mapping[str, str] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    outputs: Sequence[Output] = ()
    watchers: Sequence[Watcher] = ()
    on_monitor: Callable[[Monitor, SimulatedTime], None] = lambda monitor, time: None
    slow: Callable[[float], float] | None = None  # simulated seconds that a window takes

    def run(self, seconds: float) -> StoppedEvent:
        """Monitor for so long."""
        time = SimulatedTime()
        with ExitStack() as stack:
            monitor = simulated_monitor(
                stack,
                time,
                SimulatedCard(time, openings_between(self.outages, time), self.sound),
                bundle=Bundle.open(self.bundle),
                machine=MACHINE,
                root=self.root,
                profile=self.profile,
                duration_s=seconds,
                outputs=[self.kept, *self.outputs],
                watchers=self.watchers,
                environment=self.environment,
                prepare=lambda detector: _slow_down(detector, time, self.slow),
            )
            self.on_monitor(monitor, time)
            return monitor.run()


def _slow_down(detector: Any, time: SimulatedTime, slow: Callable[[float], float] | None) -> None:
    if slow is None:
        return
    score = detector.score

    def slowly(audio: NDArray[np.float32]) -> Any:
        time.advance(slow(time.now_s))
        return score(audio)

    detector.score = slowly
