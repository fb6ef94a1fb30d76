"""A sound card in simulated time: months of audio in minutes.

Time passes only while the reader waits, so everything that counts seconds, the capture's
watchdogs included, counts simulated ones. Give `open`, the time and its `advance` to a
LiveSource as `opener`, `clock` and `sleep`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.capture.arrival_rate import ArrivalCounts
from edge_asd.capture.ring import Arrival
from edge_asd.capture.sound_device import DeviceChoice, InputDevice
from edge_asd.errors import DeviceNotFoundError

__all__ = ["Opening", "Outage", "SimulatedCard", "SimulatedTime", "openings_between"]


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
class Opening:
    """How a card behaves from when it was opened; seconds are seconds of its audio."""

    dies_after_s: float = math.inf  # PortAudio ends the stream
    runs_away_after_s: float = math.inf  # audio comes much too fast
    stalls: Sequence[tuple[float, float]] = ()  # (after so many seconds, for so long)
    overflows_at_s: Sequence[float] = ()  # an unknown number of frames is lost
    speed: float = 1.0  # of the card's clock
    rate_hz: int = 16000
    name: str = "hw:1,0"
    lasting_name: str = "usb:0d8c:0014"
    open_hangs: bool = False  # until the card's `release` is set
    close_hangs: bool = False


@dataclass(frozen=True, slots=True)
class Outage:
    """The card is unplugged, or silent, for a while."""

    at_s: float
    for_s: float
    unplugged: bool  # False: it only delivers nothing


def openings_between(
    outages: Iterable[Outage], time: SimulatedTime
) -> Iterator[Opening | Exception]:
    """What happens at each attempt to open a card that has these outages, in order."""
    while True:
        now_s, silent_s = time(), 0.0
        plan = Opening()
        for outage in outages:
            begins_s, ends_s = max(outage.at_s, now_s), outage.at_s + outage.for_s
            if ends_s > now_s and not outage.unplugged:
                stall = (begins_s - now_s - silent_s, ends_s - begins_s)
                plan = replace(plan, stalls=(*plan.stalls, stall))
                silent_s += stall[1]
            elif ends_s > now_s:
                plan = replace(plan, dies_after_s=begins_s - now_s - silent_s)
                break
        yield plan if plan.dies_after_s else DeviceNotFoundError("no sound device 'hw:1'")


class SimulatedCard:
    """A card that is opened again after each time that it was lost.

    Parameters
    ----------
    plan : what happens at each attempt to open it
    sound : audio (2, n) of the block that begins at a time; None: noise
    block_s : length of a block
    """

    sample_rate_hz = 16000  # where an opening has no other

    def __init__(
        self,
        time: SimulatedTime,
        plan: Iterable[Opening | Exception],
        sound: Callable[[float], NDArray[np.float32]] | None = None,
        *,
        block_s: float = 1.0,
    ) -> None:
        self.time = time
        self.block_s = block_s
        self.release = threading.Event()  # ends calls that hang
        self.attempts: list[tuple[str, bool, float]] = []  # name, refresh, when
        self.microphones: list[_Microphone] = []
        self._plan = iter(plan)
        self._sound = sound

    def open(self, name: str, refresh: bool) -> _Microphone:
        """Do what is planned for this attempt; raise what is planned."""
        self.attempts.append((name, refresh, self.time()))
        planned = next(self._plan)
        if isinstance(planned, Exception):
            raise type(planned)(*planned.args)  # a new one, which refers to no frames
        if planned.open_hangs:
            self.release.wait()
        self.microphones.append(_Microphone(self, planned))
        return self.microphones[-1]

    def sound(self, at_s: float, rate_hz: int = sample_rate_hz) -> NDArray[np.float32]:
        """Audio (2, n) of the block that begins at a time."""
        if self._sound is not None:
            return self._sound(at_s)
        rng = np.random.default_rng(round(1000 * at_s))
        steps = rng.integers(-16384, 16384, (2, round(self.block_s * rate_hz)))
        return (steps / 32768).astype(np.float32)


class _Microphone:
    """One opening."""

    def __init__(self, card: SimulatedCard, plan: Opening) -> None:
        device = InputDevice(0, plan.name, "ALSA", 2, plan.rate_hz)
        self.choice = DeviceChoice(device, "it is the only one", plan.lasting_name)
        self.sample_rate_hz = plan.rate_hz
        self.counts = ArrivalCounts(card.time())
        self.closed = False
        self._card = card
        self._plan = plan
        self._stalls = list(plan.stalls)
        self._block_s = card.block_s / plan.speed  # of the time
        self._end_s = card.time()  # when the last block ended
        self._end_frame = 0
        self._n_read = 0

    @property
    def active(self) -> bool:
        """What PortAudio says: it does not notice a card that only falls silent."""
        return self._recorded_s < self._plan.dies_after_s

    @property
    def backlog_s(self) -> float:
        """Seconds of whole blocks that were recorded but not read."""
        return self._card.block_s * self._n_waiting

    def read(self, timeout_s: float) -> Arrival | None:
        """Return the next block once it is over, or None when that takes longer."""
        time, rate_hz = self._card.time, self.sample_rate_hz
        stall_s = self._stall_s
        end_s = self._end_s + stall_s + self._block_s
        if self._has_failed or end_s > time() + timeout_s:
            time.advance(timeout_s)
            if self._recorded_s >= self._plan.runs_away_after_s:
                self.counts = replace(self.counts, at_s=time(), is_runaway=True)
            return None
        time.advance(max(end_s - time(), 0.0))
        lost_frames, overflow = round(stall_s * rate_hz), self._overflow
        block = Block(
            self._end_frame + lost_frames, self._card.sound(end_s - self._block_s, rate_hz)
        )
        gap = None
        if stall_s or overflow:
            reason = "the card stalled" if stall_s else "an overflow"
            gap = Gap(block.start_frame, lost_frames, reason)
        del self._stalls[: bool(stall_s)]
        self._n_read += block.n_frames
        self._end_s, self._end_frame = end_s, block.end_frame
        n_waiting = self._n_waiting
        self.counts = ArrivalCounts(
            end_s + n_waiting * self._block_s,
            self._n_read + n_waiting * block.n_frames,
            self.counts.n_gaps + (gap is not None),
        )
        return Arrival(block, end_s, gap)

    def close(self) -> None:
        """Let go of the card, or hang."""
        if self._plan.close_hangs:
            self._card.release.wait()
        self.closed = True

    @property
    def _recorded_s(self) -> float:
        return self._n_read / self.sample_rate_hz

    @property
    def _has_failed(self) -> bool:
        return self._recorded_s >= min(self._plan.dies_after_s, self._plan.runs_away_after_s)

    @property
    def _stall_s(self) -> float:
        """How long the card is silent before the next block."""
        due = bool(self._stalls) and self._stalls[0][0] <= self._recorded_s
        return self._stalls[0][1] if due else 0.0

    @property
    def _overflow(self) -> bool:
        half_s = self._card.block_s / 2
        return any(abs(at_s - self._recorded_s) < half_s for at_s in self._plan.overflows_at_s)

    @property
    def _n_waiting(self) -> int:
        if self._has_failed:
            return 0
        waiting_s = self._card.time() - self._end_s - self._stall_s
        return max(int(waiting_s / self._block_s), 0)
