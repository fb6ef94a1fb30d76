"""A sound card that lives in simulated time: it delivers as fast as it is read.

Its clock follows its samples, so that a day passes in minutes and everything that counts
seconds, the capture's watchdogs included, counts those of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.source import Block
from edge_asd.capture.arrival_rate import Heard
from edge_asd.capture.ring import Arrival
from edge_asd.capture.sound_device import Choice, InputDevice
from edge_asd.errors import DeviceNotFoundError

__all__ = ["Outage", "SimulatedCard", "SimulatedTime"]

_DEVICE = InputDevice(0, "simulated (hw:1,0)", "simulated", 2, 16000)


class SimulatedTime:
    """Seconds that pass when somebody says so."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, tzinfo=UTC)) -> None:
        self._start = start
        self._due: list[tuple[float, Callable[[], object]]] = []
        self._off_s = 0.0
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        """Time of day, as the system's clock shows it."""
        return self._start + timedelta(seconds=self.now_s + self._off_s)

    def set_clock(self, by_s: float) -> None:
        """Set the system's clock, as a time server does."""
        self._off_s += by_s

    def advance(self, seconds: float) -> None:
        """Let time pass, and do what is due."""
        self.now_s += seconds
        while self._due and self._due[0][0] <= self.now_s:
            self._due.pop(0)[1]()

    def at(self, when_s: float, action: Callable[[], object]) -> None:
        """Do something when a time has come; in the order of the calls."""
        self._due.append((when_s, action))


@dataclass(frozen=True, slots=True)
class Outage:
    """The card is unplugged, or silent, for a while."""

    at_s: float
    for_s: float
    unplugged: bool  # False: it only delivers nothing

    def covers(self, now_s: float) -> bool:
        """Whether it is going on."""
        return self.at_s <= now_s < self.at_s + self.for_s


class SimulatedCard:
    """Opened again after each outage; give :meth:`open` to a capture as its opener.

    Parameters
    ----------
    sound : audio (2, n) of the second that begins at a time
    """

    sample_rate_hz = 16000

    def __init__(
        self,
        time: SimulatedTime,
        sound: Callable[[float], NDArray[np.float32]],
        outages: Sequence[Outage] = (),
    ) -> None:
        self._time = time
        self._sound = sound
        self._outages = tuple(outages)

    def open(self, name: str, refresh: bool) -> _Opened:
        """Open the card, as often as it is lost.

        Raises
        ------
        DeviceNotFoundError
            While it is unplugged.
        """
        outage = self.outage()
        if outage and outage.unplugged:
            raise DeviceNotFoundError(f"no sound device {name!r}")
        return _Opened(self)

    def outage(self, at_s: float | None = None) -> Outage | None:
        """What is wrong with it at a time; None: now."""
        now_s = self._time.now_s if at_s is None else at_s
        return next((outage for outage in self._outages if outage.covers(now_s)), None)

    def sound(self, at_s: float) -> NDArray[np.float32]:
        """Audio (2, n) of the second that begins at a time."""
        return self._sound(at_s)

    def wait(self, seconds: float) -> float:
        """Let time pass without sound; return the time."""
        self._time.advance(seconds)
        return self._time.now_s


class _Opened:
    """One opening of the card."""

    choice = Choice(_DEVICE, "it is the only one", "hw:1")
    sample_rate_hz = SimulatedCard.sample_rate_hz

    def __init__(self, card: SimulatedCard) -> None:
        self._card = card
        self._opened_at_s = card.wait(0.0)
        self._position = 0
        self.heard = Heard(at_s=self._opened_at_s)

    @property
    def active(self) -> bool:
        """What PortAudio says: it does not notice a card that only falls silent."""
        outage = self._card.outage()
        return outage is None or not outage.unplugged

    @property
    def backlog_s(self) -> float:
        """Seconds that were recorded but not read: whole ones alone are handed over."""
        begins_s = self._opened_at_s + self._position / self.sample_rate_hz
        if self._card.outage(begins_s):
            return 0.0
        return max(float(int(self._card.wait(0.0) - begins_s)), 0.0)

    def read(self, timeout_s: float) -> Arrival | None:
        """Return a second of sound as soon as it is over, or nothing while there is none."""
        begins_s = self._opened_at_s + self._position / self.sample_rate_hz
        if self._card.outage(begins_s):
            self._card.wait(timeout_s)
            return None
        audio = self._card.sound(begins_s)
        ends_s = begins_s + audio.shape[1] / self.sample_rate_hz
        now_s = self._card.wait(max(ends_s - self._card.wait(0.0), 0.0))
        block = Block(self._position, audio)
        self._position = block.end_frame
        recorded = round((now_s - self._opened_at_s) * self.sample_rate_hz)
        self.heard = Heard(at_s=now_s, n_frames=recorded)
        return Arrival(block, ends_s)

    def close(self) -> None:
        """Nothing holds it."""
