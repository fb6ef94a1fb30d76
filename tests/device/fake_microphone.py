"""A sound card whose clock follows its samples: hours of audio in a moment.

Give `opener`, `clock` and `sleep` to a LiveSource. Each opening takes the next entry of the
plan: an error, or what this opening does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.source import Block
from edge_asd.capture.arrival_rate import Heard
from edge_asd.capture.ring import Arrival
from edge_asd.capture.sound_device import Choice, InputDevice

__all__ = ["FakeCard", "FakeMicrophone", "Opening", "SampleClock"]


class SampleClock:
    """Seconds that pass when somebody waits or audio is recorded."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass(frozen=True)
class Opening:
    """How a card behaves from when it was opened."""

    dies_after_s: float | None = None  # PortAudio ends the stream
    floods_after_s: float | None = None  # audio comes much too fast
    stalls: tuple[tuple[float, float], ...] = ()  # (after so many seconds of audio, for so long)
    gaps_at_s: tuple[float, ...] = ()  # an overflow of unknown length before this block
    speed: float = 1.0  # of the card's clock
    rate_hz: int = 16000
    name: str = "hw:1,0"
    lasting_name: str = "usb:0d8c:0014"
    close_hangs: bool = False


class FakeMicrophone:
    """One opening."""

    backlog_s = 0.0

    def __init__(self, card: FakeCard, plan: Opening) -> None:
        device = InputDevice(0, plan.name, "ALSA", 2, plan.rate_hz)
        self.choice = Choice(device, "a test wants it", plan.lasting_name)
        self.sample_rate_hz = plan.rate_hz
        self.heard = Heard(card.clock())
        self.active = True
        self.closed = False
        self._card = card
        self._plan = plan
        self._frames = round(card.block_s * plan.rate_hz)
        self._position = 0
        self._lost = 0
        self._stalls = list(plan.stalls)

    def read(self, timeout_s: float) -> Arrival | None:
        recorded_s = self._position / self.sample_rate_hz
        if self._plan.floods_after_s is not None and recorded_s >= self._plan.floods_after_s:
            self.heard = Heard(self._card.clock(), self._position, flood=True)
        if self._plan.dies_after_s is not None and recorded_s >= self._plan.dies_after_s:
            self.active = False
        gap = "the card stalled" if self._stalled(recorded_s) else None
        if self.heard.flood or not self.active or self._is_silent:
            self._card.clock.sleep(timeout_s)
            return None
        self._card.clock.sleep(self._card.block_s / self._plan.speed)
        if any(abs(at_s - recorded_s) < self._card.block_s / 2 for at_s in self._plan.gaps_at_s):
            gap = "an overflow"
        audio = self._card.audio(self._position, self._frames)
        start = self._position + self._lost
        self._position += self._frames
        n_gaps = self.heard.n_gaps + (gap is not None)
        self.heard = Heard(self._card.clock(), self._position, n_gaps)
        return Arrival(Block(start, audio, gap), self.heard.at_s)

    def close(self) -> None:
        if self._plan.close_hangs:
            self._card.release.wait()
        self.closed = True

    @property
    def _is_silent(self) -> bool:
        return bool(self._stalls) and self._stalls[0][0] * self.sample_rate_hz <= self._position

    def _stalled(self, recorded_s: float) -> bool:
        """Whether a stall is over with this block."""
        if not self._is_silent:
            return False
        _, for_s = self._stalls[0]
        silent_s = self._card.clock() - self.heard.at_s
        if silent_s < for_s:
            return False
        del self._stalls[0]
        self._lost += round(silent_s * self.sample_rate_hz)
        return True


def _noise(start: int, n_frames: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(start)
    return rng.uniform(-0.5, 0.5, (2, n_frames)).astype(np.float32)


class FakeCard:
    """A card, and what happens each time it is opened.

    Parameters
    ----------
    plan : one entry per opening; after the last one it is missing
    audio : (first frame of this opening, how many) -> (2, n) float32
    """

    def __init__(
        self,
        plan: Iterable[Opening | Exception],
        *,
        clock: SampleClock | None = None,
        audio: Callable[[int, int], NDArray[np.float32]] = _noise,
        block_s: float = 0.1,
    ) -> None:
        self.clock = clock or SampleClock()
        self.audio = audio
        self.block_s = block_s
        self.release = threading.Event()  # lets calls return that hang
        self.asked: list[tuple[str, bool, float]] = []  # name, refresh, when
        self.microphones: list[FakeMicrophone] = []
        self._plan = iter(plan)

    def opener(self, name: str, refresh: bool) -> FakeMicrophone:
        self.asked.append((name, refresh, self.clock()))
        planned = next(self._plan)
        if isinstance(planned, Exception):
            raise planned
        self.microphones.append(FakeMicrophone(self, planned))
        return self.microphones[-1]
