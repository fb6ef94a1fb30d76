"""One opened stream of a sound card through PortAudio.

The callback counts, copies into a ring and returns. What the counts mean is decided by
:mod:`edge_asd.capture.health`.
"""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.capture.arrival_rate import ArrivalCounts, RunawayDetector
from edge_asd.capture.ring import Arrival, BlockRing
from edge_asd.capture.sound_device import (
    DeviceChoice,
    InputDevice,
    channel_counts,
    input_devices,
    load_sounddevice,
    refusal,
    resolve,
)
from edge_asd.errors import AudioError
from edge_asd.profile import CaptureSettings

__all__ = [
    "Microphone",
    "OpenedMicrophone",
    "never_wait_for_portaudio",
    "open_microphone",
]

# PulseAudio delivers in bursts of 2 s; a card that is silent for longer lost audio.
_STALL_S = 3.0
# A device at its end fills any burst within a few milliseconds; a block that is this old
# and was not followed by a runaway is real.
_RUNAWAY_CHECK_S = 0.1

_FIRST_TWO = (1, 2)

_OVERFLOW = "the sound card reports an overflow"
_STALL = "the sound card delivered nothing for a while"


class OpenedMicrophone(Protocol):
    """What is needed of a :class:`Microphone` once it is open."""

    choice: DeviceChoice
    sample_rate_hz: int

    @property
    def counts(self) -> ArrivalCounts: ...
    @property
    def active(self) -> bool: ...
    @property
    def backlog_s(self) -> float: ...
    def read(self, timeout_s: float) -> Arrival | None: ...
    def close(self) -> None: ...


class Microphone:
    """Two channels of a sound card at a rate that the card supports, from now on.

    Parameters
    ----------
    choice : see :func:`edge_asd.capture.sound_device.resolve`
    settings : length of a block and of the ring, which bounds how far the reader may fall
        behind before audio is dropped
    preferred_rate_hz : the bundle's rate, tried after the card's own
    clock : seconds that never run backwards

    Raises
    ------
    AudioError
        When the card is busy, gone, or supports no usable rate.
    """

    def __init__(
        self,
        choice: DeviceChoice,
        settings: CaptureSettings,
        *,
        preferred_rate_hz: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sounddevice = load_sounddevice()
        device = choice.device
        self.choice = choice
        near_far = settings.near_far or list(_FIRST_TWO)
        self.sample_rate_hz, n_channels = _opened_as(device, near_far, preferred_rate_hz)
        self._columns = [number - 1 for number in near_far]
        block_frames = max(1, round(settings.block_s * self.sample_rate_hz))
        self._block_s = block_frames / self.sample_rate_hz
        self._ring = BlockRing(max(2, round(settings.ring_s / self._block_s)))
        self._clock = clock
        self._counts = ArrivalCounts(clock())
        self._detector = RunawayDetector(self._counts.at_s)
        try:
            self._stream: Any = sounddevice.InputStream(
                device=device.index,
                channels=n_channels,
                dtype="float32",
                samplerate=self.sample_rate_hz,
                blocksize=block_frames,
                callback=self._callback,
            )
        except sounddevice.PortAudioError as error:
            raise _cannot_open(device.name, error) from error
        try:
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self._stream.close()
            raise _cannot_open(device.name, error) from error

    @property
    def counts(self) -> ArrivalCounts:
        """What came so far. Thread: any."""
        return self._counts

    @property
    def active(self) -> bool:
        """Whether PortAudio believes that the stream runs; a hung driver says yes."""
        try:
            return bool(self._stream.active)
        except load_sounddevice().PortAudioError:
            return False

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait in the ring."""
        return self._ring.n_waiting * self._block_s

    def read(self, timeout_s: float) -> Arrival | None:
        """Return the oldest block, once it is sure to be audio, or None when none came."""
        arrival = self._ring.read(timeout_s)
        if arrival is None:
            return None
        age_s = self._clock() - arrival.at_s
        if age_s < _RUNAWAY_CHECK_S:
            time.sleep(_RUNAWAY_CHECK_S - age_s)
        counts = self._counts
        doubtful = counts.is_runaway and counts.at_s - arrival.at_s < _RUNAWAY_CHECK_S
        return None if doubtful else arrival

    def close(self) -> None:
        """Close the stream; does not return when the driver hangs. Thread: any."""
        self._stream.close()

    def _callback(
        self, frames: NDArray[np.float32], n_frames: int, _time: object, status: Any
    ) -> None:
        counts = self._counts
        if counts.is_runaway:
            return
        now_s = self._clock()
        if self._detector.is_runaway(now_s, n_frames / self.sample_rate_hz):
            self._counts = replace(counts, at_s=now_s, is_runaway=True)
            return
        pause_s = now_s - counts.at_s
        gap_reason, lost_frames = None, 0
        if counts.n_frames:  # before the first frames nothing can be lost
            stalled = pause_s > _STALL_S + self._block_s
            gap_reason = _STALL if stalled else _OVERFLOW if status.input_overflow else None
            late_frames = round(pause_s * self.sample_rate_hz) - n_frames
            # Less than a block is within the jitter of the callback.
            lost_frames = late_frames if gap_reason and late_frames > n_frames else 0
        n_gaps = counts.n_gaps + (gap_reason is not None)
        self._counts = ArrivalCounts(now_s, counts.n_frames + n_frames, n_gaps)
        self._ring.write(frames[:, self._columns], gap_reason, lost_frames, at_s=now_s)


def open_microphone(
    query: str,
    refresh: bool,
    *,
    settings: CaptureSettings,
    preferred_rate_hz: int,
    root: Path = Path("/"),
) -> Microphone:
    """Return the microphone that `query` means, listening.

    Parameters
    ----------
    refresh : look for new devices first; ends every other stream

    Raises
    ------
    UsageError, DeviceNotFoundError, AudioError
        See :func:`edge_asd.capture.sound_device.resolve` and :class:`Microphone`.
    """
    choice = resolve(query, input_devices(root, refresh=refresh))
    return Microphone(choice, settings, preferred_rate_hz=preferred_rate_hz)


def never_wait_for_portaudio() -> None:
    """Let the process end although a driver hangs.

    sounddevice terminates PortAudio at exit, which would wait for the driver for ever.
    """
    if sounddevice := sys.modules.get("sounddevice"):
        atexit.unregister(sounddevice._exit_handler)


def _opened_as(
    device: InputDevice, near_far: Sequence[int], preferred_rate_hz: int
) -> tuple[int, int]:
    """Return the rate at which a device records, and with how many channels.

    Raises
    ------
    UsageError
        When it has fewer channels than those that are wanted.
    AudioError
        When it does not record at all.
    """
    refusals = []
    for n_channels in channel_counts(device, near_far):
        for rate_hz in (device.default_rate_hz, preferred_rate_hz, 48000, 44100):
            if (error := refusal(device, rate_hz, n_channels)) is None:
                return rate_hz, n_channels
            refusals.append(error)
    raise _cannot_open(device.name, refusals[0])


def _cannot_open(name: str, error: Exception) -> AudioError:
    # PortAudioError: text, number of the error, and, not always, what the host API says.
    parts = error.args
    host_says = str(parts[2][-1]).strip() if len(parts) > 2 else ""
    detail = " ".join(f"{parts[0]}: {host_says}".rstrip(": ").split())
    if "unavailable" in str(error).lower() or "busy" in str(error).lower():
        return AudioError(
            f"sound device {name!r} is busy ({detail}); end the program that uses it: "
            "'fuser -v /dev/snd/*' names it"
        )
    return AudioError(f"cannot record two channels from sound device {name!r}: {detail}")
