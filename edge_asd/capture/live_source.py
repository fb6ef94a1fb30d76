"""Audio from a sound card for months: it waits, reopens, and says so.

A card may be missing at the start, be unplugged, stall, or return as another number. The
stream goes on through all of it: positions count the outages by the monotonic clock, so
that what follows is where it belongs, after a gap.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge_asd.audio.resample import resampled
from edge_asd.audio.source import Block
from edge_asd.capture.abandonable_call import AbandonableCall
from edge_asd.capture.arrival_rate import MAX_SPEED, Heard
from edge_asd.capture.health import CaptureHealth, CaptureState
from edge_asd.capture.microphone import never_wait_for_portaudio, open_microphone
from edge_asd.capture.ring import Arrival
from edge_asd.capture.sound_cards import SoundCard, sound_cards
from edge_asd.capture.sound_device import Choice
from edge_asd.errors import AudioError, DeviceNotFoundError, DriverHungError, UsageError
from edge_asd.events.fault import Report
from edge_asd.profile import CaptureSettings

__all__ = ["LiveSource", "OpenMicrophone", "OpenedMicrophone"]

_NO_AUDIO = np.empty((2, 0), np.float32)
_POLL_S = 0.2  # at least so often the reader may look at other things
_CLOSE_DEADLINE_S = 3.0
_OPEN_DEADLINE_S = 20.0  # PortAudio tries every card, and some USB cards take seconds
_LOOK_S = 1.0  # how often to look whether a missing card was plugged in

_log = logging.getLogger(__name__)


class OpenedMicrophone(Protocol):
    """What a capture needs of a :class:`edge_asd.capture.microphone.Microphone`."""

    choice: Choice
    sample_rate_hz: int

    @property
    def heard(self) -> Heard: ...
    @property
    def active(self) -> bool: ...
    @property
    def backlog_s(self) -> float: ...
    def read(self, timeout_s: float) -> Arrival | None: ...
    def close(self) -> None: ...


# From the name of a device, and whether to look for new devices first. AudioError when it
# cannot be opened, DeviceNotFoundError when it is not there.
OpenMicrophone = Callable[[str, bool], OpenedMicrophone]


class LiveSource:
    """Two channels of a sound card at one sample rate, whatever happens to the card.

    Everything runs in the thread that reads `blocks`; opening and closing run in threads
    that can be left behind.

    Parameters
    ----------
    query : which device, see :func:`edge_asd.capture.sound_device.resolve`
    settings : the profile's
    sample_rate_hz : of the blocks
    report : hears of faults
    stop : ends the stream
    clock : seconds that never run backwards
    root : of the file system where the kernel lists its cards
    max_speed : times real time that a card may deliver; ``math.inf`` for cards made of files
    opener : opens a microphone; None for those of PortAudio
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
        max_speed: float = MAX_SPEED,
        opener: OpenMicrophone | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._query = query
        self._settings = settings
        self.sample_rate_hz = sample_rate_hz
        self._stop = stop
        self._clock = clock
        self._root = root
        self._opener = opener or partial(
            open_microphone,
            settings=settings,
            preferred_rate_hz=sample_rate_hz,
            root=root,
            max_speed=max_speed,
        )
        self._sleep = sleep or stop.wait
        self._health = CaptureHealth(settings, report, now_s=clock())
        self._microphone: OpenedMicrophone | None = None
        self._pending: AbandonableCall[OpenedMicrophone] | None = None  # an attempt to open it
        self._attempts = 0
        self._choice: Choice | None = None  # of the last time it was open
        self._missing_from: tuple[SoundCard, ...] | None = None  # the card is not one of these
        self._looked_at_s = clock()
        self._position = 0  # where the stream ends, in frames of `sample_rate_hz`
        self._heard_until_s = clock()  # when the last audio came
        self._gap: str | None = None  # why the next audio follows a gap

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
        return self._health.drift_ppm

    @property
    def reopened(self) -> int:
        """How often the card was opened after the first time."""
        return self._health.reopened

    def open(self) -> None:
        """Try to open the card; when it is missing, `blocks` goes on trying.

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
        self._heard_until_s = self._clock()
        for _ in self._try_to_open():
            pass

    def blocks(self) -> Iterator[Block]:
        """Blocks until `stop` is set; empty ones while nothing comes.

        Raises
        ------
        DriverHungError
            When the driver does not return; only a new process can use the card again.
        AudioError
            When the card stays away for longer than the profile allows.
        """
        if not self._attempts:
            self.open()
        while not self._stop.is_set():
            if self._microphone is None:
                yield from self._wait_to_retry()
                yield from self._try_to_open()
            else:
                yield from self._listen(self._microphone)
                yield from self._let_go(self._microphone)

    def close(self) -> None:
        """Close the card, or give up after a deadline: a hung driver never returns."""
        pending, self._pending = self._pending, None
        closed = pending is None or pending.returned(_CLOSE_DEADLINE_S)
        if pending is not None and closed:
            with suppress(AudioError, UsageError):
                self._microphone = pending.result()
        opened, self._microphone = self._microphone, None
        if opened is not None:
            closed = AbandonableCall(opened.close, "close-microphone").returned(_CLOSE_DEADLINE_S)
        if not closed:
            _log.warning("sound device %r hangs; leaving it to the system", self.name)
            never_wait_for_portaudio()

    def _listen(self, opened: OpenedMicrophone) -> Iterator[Block]:
        """One opening: nothing while the card warms up, then audio until it is lost."""
        arrivals = self._arrivals(opened)
        warm_up_frames = round(self._settings.warmup_s * opened.sample_rate_hz)
        first = None
        for arrival in arrivals:
            if arrival is not None and arrival.block.start_frame >= warm_up_frames:
                first = arrival
                break
            yield self._nothing()
        if first is None:
            return
        gap, self._gap = self._gap, None
        lost_s = None
        if gap is not None:
            began_s = first.at_s - first.block.n_frames / opened.sample_rate_hz
            lost_s = max(began_s - self._heard_until_s, 0.0)
        base = self._position + round((lost_s or 0.0) * self.sample_rate_hz)
        self._health.delivered(first.at_s, lost_s)
        stretch = self._stretch(first, arrivals, opened.sample_rate_hz)
        for block in resampled(stretch, opened.sample_rate_hz, self.sample_rate_hz):
            shifted = Block(base + block.start_frame, block.audio, gap or block.gap)
            gap = None
            self._position = shifted.end_frame
            yield shifted

    def _arrivals(self, opened: OpenedMicrophone) -> Iterator[Arrival | None]:
        """What comes from the card until it is lost; None when nothing came for a moment."""
        while not self._stop.is_set():
            arrival = opened.read(_POLL_S)
            active = arrival is not None or opened.backlog_s > 0 or opened.active
            self._health.observe(self._clock(), opened.heard, active=active)
            if arrival is None and self._health.must_close and not opened.backlog_s:
                return
            yield arrival

    def _stretch(
        self, first: Arrival, arrivals: Iterator[Arrival | None], rate_hz: int
    ) -> Iterator[Block]:
        """Blocks at the card's rate, counted from the first that is kept."""
        offset, expected = first.block.start_frame, first.block.end_frame
        self._heard_until_s = first.at_s
        yield Block(0, first.block.audio)
        for arrival in arrivals:
            if arrival is None:
                yield Block(expected - offset, _NO_AUDIO)
                continue
            block = arrival.block
            lost_s = None if block.gap is None else (block.start_frame - expected) / rate_hz
            self._health.delivered(arrival.at_s, lost_s, block.gap or "")
            self._heard_until_s, expected = arrival.at_s, block.end_frame
            yield Block(block.start_frame - offset, block.audio, block.gap)

    def _let_go(self, opened: OpenedMicrophone) -> Iterator[Block]:
        """Close a card that was lost; nothing to close when it is time to stop."""
        if self._stop.is_set():
            return
        self._gap = self._health.reason
        closing = AbandonableCall(opened.close, "close-microphone")
        while not closing.returned(_POLL_S):
            self._require_life(closing, _CLOSE_DEADLINE_S)
            yield self._nothing()
        self._microphone = None
        self._health.closed(self._clock())

    def _wait_to_retry(self) -> Iterator[Block]:
        while not self._stop.is_set():
            self._require_patience()
            self._look_for_cards()
            pause_s = self._health.retry_at_s - self._clock()
            if pause_s <= 0:
                return
            self._sleep(min(pause_s, _POLL_S))
            yield self._nothing()

    def _try_to_open(self) -> Iterator[Block]:
        if self._stop.is_set():
            return
        name = self._choice.lasting_name if self._choice else self._query
        self._attempts += 1
        open_it = partial(self._opener, name, self._attempts > 1)
        self._pending = attempt = AbandonableCall(open_it, "open-microphone")
        while not attempt.returned(_POLL_S):
            if self._stop.is_set():
                return
            self._require_life(attempt, _OPEN_DEADLINE_S)
            yield self._nothing()
        self._pending = None
        self._conclude(attempt)

    def _conclude(self, attempt: AbandonableCall[OpenedMicrophone]) -> None:
        try:
            opened = attempt.result()
        except (AudioError, UsageError) as error:
            if self._settings.wait_s == 0 or (
                self._attempts == 1 and isinstance(error, UsageError)
            ):
                raise
            missing = isinstance(error, DeviceNotFoundError)
            self._missing_from = sound_cards(self._root) if missing else None
            self._health.not_opened(self._clock(), str(error), missing=missing)
            self._gap = self._gap or self._health.reason
            return
        self._microphone, self._choice = opened, opened.choice
        self._health.opened(opened.sample_rate_hz)
        _log.info(
            "listening to %r at %d Hz, because %s; its lasting name is %r",
            opened.choice.device.name,
            opened.sample_rate_hz,
            opened.choice.reason,
            opened.choice.lasting_name,
        )

    def _look_for_cards(self) -> None:
        """Do not wait for the end of a long pause when a card was plugged in."""
        now_s = self._clock()
        if self._missing_from is None or now_s - self._looked_at_s < _LOOK_S:
            return
        self._looked_at_s = now_s
        cards = sound_cards(self._root)
        if cards != self._missing_from:
            self._missing_from = cards
            self._health.hurry(now_s)

    def _require_patience(self) -> None:
        wait_s = self._settings.wait_s
        away_s = self._clock() - self._heard_until_s
        if wait_s != "forever" and away_s > wait_s:
            raise AudioError(
                f"sound device {self.name!r} is away, and the wait of {wait_s:g} s for it is "
                f"over: {self._health.reason}"
            )

    def _require_life(self, call: AbandonableCall[Any], deadline_s: float) -> None:
        if call.age_s <= deadline_s:
            return
        self._microphone = self._pending = None
        never_wait_for_portaudio()
        reason = f"its driver did not return within {deadline_s:g} s"
        self._health.hung(self._clock(), reason)
        raise DriverHungError(
            f"sound device {self.name!r} hangs: {reason}; start the program again, and plug "
            "the card in again if that does not help"
        )

    def _nothing(self) -> Block:
        return Block(self._position, _NO_AUDIO)
