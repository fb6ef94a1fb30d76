"""Audio from a sound card for months: it waits, reopens, and reports what happened.

A card may be missing at the start, be unplugged, stall, or return as another number. The
stream goes on through all of it: an outage is a gap whose length comes from the
monotonic clock, so that what follows is where it belongs.

    waiting ──retry is due──> opening ──opened──> listening ──lost──> closing
      ^  ^                       │                                       │
      │  └──────not opened───────┘                                       │
      └─────────────────────────────closed───────────────────────────────┘

Each :meth:`LiveSource.read` makes one step. While listening, nothing is handed on before
the card has warmed up. Opening and closing run in threads of their own: a call that does
not return ends the source with DriverHungError. A wait that is over ends it with AudioError.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edge_asd.audio.block import N_CHANNELS, Block, Gap
from edge_asd.capture.abandonable_call import AbandonableCall
from edge_asd.capture.health import CaptureHealth, CaptureState
from edge_asd.capture.microphone import (
    OpenedMicrophone,
    never_wait_for_portaudio,
    open_microphone,
)
from edge_asd.capture.placement import Placement
from edge_asd.capture.sound_cards import SoundCard, sound_cards
from edge_asd.capture.sound_device import DeviceChoice
from edge_asd.errors import AudioError, DeviceNotFoundError, DriverHungError, UsageError
from edge_asd.events.fault import Report
from edge_asd.profile import CaptureSettings

__all__ = ["LiveSource"]

_NO_AUDIO = np.empty((N_CHANNELS, 0), np.float32)
_POLL_S = 0.2  # the longest that a step waits
_LOOK_S = 1.0  # how often to look whether a missing card was plugged in

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    cards: tuple[SoundCard, ...] | None = None  # without the one that is missing
    looked_at_s: float = 0.0  # when the cards were listed


class _Opening(AbandonableCall[OpenedMicrophone]):
    deadline_s = 20.0  # PortAudio tries every card, and some USB cards take seconds


@dataclass(frozen=True, slots=True)
class _Listening:
    microphone: OpenedMicrophone


class _Closing(AbandonableCall[None]):
    deadline_s = 3.0


# None: closed for good, or the driver hangs.
_State: TypeAlias = _Waiting | _Opening | _Listening | _Closing | None


class LiveSource:
    """Two channels of a sound card at one sample rate, whatever happens to the card.

    Parameters
    ----------
    query : which device, see :func:`edge_asd.capture.sound_device.resolve`
    settings : the profile's
    sample_rate_hz : of the blocks
    report : called with faults
    stop : ends the stream
    clock : seconds that never run backwards
    root : of the file system where the kernel lists its cards
    opener : as :func:`edge_asd.capture.microphone.open_microphone`, which it is if None
    sleep : waits for so many seconds, or until `stop`; None for real waiting
    """

    def __init__(
        self,
        query: str,
        settings: CaptureSettings,
        *,
        sample_rate_hz: int,
        report: Report,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        root: Path = Path("/"),
        opener: Callable[[str, bool], OpenedMicrophone] | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._query = query
        self._settings = settings
        self.sample_rate_hz = sample_rate_hz
        self._stop = stop
        self._clock = clock
        self._root = root
        self._opener = opener or partial(
            open_microphone, settings=settings, preferred_rate_hz=sample_rate_hz, root=root
        )
        self._sleep = sleep or stop.wait
        self._health = CaptureHealth(settings, report, now_s=clock())
        self._state: _State = _Waiting()
        self._attempts = 0
        self.reopened = 0  # how often the card was opened after the first time
        self._choice: DeviceChoice | None = None  # of the last time it was open
        self._placement = Placement(sample_rate_hz, clock())
        self._items: deque[Block | Gap] = deque()  # not read yet

    @property
    def name(self) -> str:
        """What events call it: the device, or what was asked for while there is none yet."""
        return self._choice.device.name if self._choice else self._query

    @property
    def source_rate_hz(self) -> int | None:
        """The card's sample rate, while it is open."""
        return self._microphone.sample_rate_hz if self._microphone else None

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that arrived but were not read yet."""
        return self._microphone.backlog_s if self._microphone else 0.0

    @property
    def state(self) -> CaptureState:
        """How well it hears."""
        return self._health.state

    @property
    def drift_ppm(self) -> float | None:
        """How much too fast the card's clock runs, once that is known."""
        return self._health.rate.drift_ppm

    def open(self) -> None:
        """Try once to open the card; when it is missing, `read` goes on trying.

        Raises
        ------
        UsageError
            When the name can never be that of a device, is that of several, or of one with
            a single channel.
        AudioError
            When PortAudio is missing, or the profile allows no waiting.
        DriverHungError
            When the driver does not return.
        """
        self._state = self._begin_opening()
        while isinstance(self._state, _Opening) and not self._stop.is_set():
            self._state = self._step(self._state)

    def read(self) -> Block | Gap | None:
        """Return what comes next; an empty block when nothing came, None after `stop`.

        Raises
        ------
        UsageError, AudioError
            As :meth:`open`, and when the card stays away for longer than the profile allows.
        DriverHungError
            When the driver does not return; only a new process can use the card again.
        """
        if not self._items and not self._stop.is_set():
            self._state = self._step(self._state)
        if self._stop.is_set() or self._state is None:
            return None
        if self._items:
            return self._items.popleft()
        return Block(self._placement.end_frame, _NO_AUDIO)

    def close(self) -> None:
        """Close the card, or give up after a deadline: a hung driver never returns."""
        state, self._state = self._state, None
        match state:
            case _Opening() as attempt:
                closing = _Closing(lambda: attempt.result().close())
            case _Listening(microphone):
                closing = _Closing(microphone.close)
            case _Closing() as closing:
                pass
            case _Waiting() | None:
                return
        if not closing.has_returned(closing.deadline_s):
            _log.warning("sound device %r hangs; leaving it to the system", self.name)
            never_wait_for_portaudio()

    @property
    def _microphone(self) -> OpenedMicrophone | None:
        state = self._state
        return state.microphone if isinstance(state, _Listening) else None

    def _step(self, state: _State) -> _State:
        """Do what a state asks for, waiting for `_POLL_S` at most; return the next state."""
        match state:
            case _Waiting():
                return self._wait(state)
            case _Opening() if self._has_returned(state):
                return self._finish_opening(state)
            case _Listening(microphone):
                return self._listen(microphone)
            case _Closing() if self._has_returned(state):
                self._health.closed(self._clock())
                return _Waiting()
        return state

    def _wait(self, state: _Waiting) -> _Waiting | _Opening:
        now_s, wait_s = self._clock(), self._settings.wait_s
        if state.cards is not None and now_s - state.looked_at_s >= _LOOK_S:
            cards = sound_cards(self._root)
            if cards != state.cards:
                self._health.card_added(now_s)
            state = _Waiting(cards, now_s)
        pause_s = self._health.retry_at_s - now_s
        if pause_s <= 0:
            return self._begin_opening()
        if wait_s != "forever" and now_s - self._placement.last_audio_s > wait_s:
            raise AudioError(
                f"sound device {self.name!r} is away, and the wait of {wait_s:g} s for it is "
                f"over: {self._health.reason}"
            )
        self._sleep(min(pause_s, _POLL_S))
        return state

    def _begin_opening(self) -> _Opening:
        name = self._choice.lasting_name if self._choice else self._query
        self._attempts += 1
        return _Opening(partial(self._opener, name, self._attempts > 1))

    def _finish_opening(self, attempt: _Opening) -> _Listening | _Waiting:
        try:
            microphone = attempt.result()
        except (AudioError, UsageError) as error:
            never = isinstance(error, UsageError) and self._attempts == 1
            if never or self._settings.wait_s == 0:
                raise
            now_s, missing = self._clock(), isinstance(error, DeviceNotFoundError)
            self._health.not_opened(now_s, str(error), missing=missing)
            self._placement.not_opened(str(error))
            return _Waiting(sound_cards(self._root) if missing else None, now_s)
        self.reopened += self._choice is not None
        self._choice = choice = microphone.choice
        self._health.opened(microphone.sample_rate_hz)
        _log.info(
            "listening at %d Hz to %r, because %s; its lasting name is %r",
            microphone.sample_rate_hz,
            choice.device.name,
            choice.reason,
            choice.lasting_name,
        )
        return _Listening(microphone)

    def _listen(self, microphone: OpenedMicrophone) -> _Listening | _Closing:
        arrival, rate_hz = microphone.read(_POLL_S), microphone.sample_rate_hz
        active = arrival is not None or microphone.backlog_s > 0 or microphone.active
        failed = self._health.observe(self._clock(), microphone.counts, active=active)
        if arrival is None and failed and not microphone.backlog_s:
            self._items += self._placement.interrupt(self._health.reason or "")
            return _Closing(microphone.close)
        warm_up_frames = round(self._settings.warmup_s * rate_hz)
        if arrival is not None and arrival.block.start_frame >= warm_up_frames:
            self._items += self._placement.place(arrival, rate_hz)
            gap = next((item for item in self._items if isinstance(item, Gap)), None)
            lost_s = gap.lost_frames / self.sample_rate_hz if gap else None
            self._health.delivered(arrival.at_s, lost_s, gap.reason if gap else "")
        return _Listening(microphone)

    def _has_returned(self, call: _Opening | _Closing) -> bool:
        if call.has_returned(_POLL_S):
            return True
        if call.is_overdue:
            self._state = None
            never_wait_for_portaudio()
            reason = f"its driver did not return within {call.deadline_s:g} s"
            self._health.hung(self._clock(), reason)
            raise DriverHungError(
                f"sound device {self.name!r} hangs: {reason}; start the program again, and plug "
                "the card in again if that does not help"
            )
        return False
