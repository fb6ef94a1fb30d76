"""Capture from a sound card through PortAudio.

The callback copies into a preallocated ring and returns. What PortAudio does not say,
the ring and the clock find out: a full ring is counted in frames, a driver that fell
silent is counted in seconds, and one that stays silent ends the capture with an error,
because a monitor that hears nothing must not look healthy.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import AudioError
from edge_asd.ring import BlockRing
from edge_asd.sound_device import InputDevice, load_sounddevice
from edge_asd.source import Block

__all__ = ["MicrophoneSource"]

_N_CHANNELS = 2
_POLL_S = 0.2  # how soon a silent card lets its reader notice a request to stop
_CLOSE_DEADLINE_S = 3.0
# PulseAudio delivers in bursts of 2 s; a card that is silent for longer lost audio.
_BURST_S = 3.0

_OVERFLOW = "the sound card reports an overflow"
_STALL = "the sound card delivered nothing for a while"

_log = logging.getLogger(__name__)


class MicrophoneSource:
    """Two channels of a sound card at a rate that the card supports.

    Parameters
    ----------
    device : see :func:`edge_asd.sound_device.resolve`
    preferred_rate_hz : the bundle's rate, tried after the card's own
    block_s : length of a block; the callback runs once per block
    ring_s : how far the reader may fall behind before audio is dropped
    stall_timeout_s : after so long without audio the card counts as dead
    clock : seconds that never run backwards

    Raises
    ------
    AudioError
        When the card is busy, gone, or supports no usable rate.
    """

    def __init__(
        self,
        device: InputDevice,
        *,
        preferred_rate_hz: int,
        block_s: float = 0.1,
        ring_s: float = 30.0,
        stall_timeout_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sounddevice = load_sounddevice()
        self.name = device.name
        self.sample_rate_hz = _supported_rate_hz(sounddevice, device, preferred_rate_hz)
        self._stall_timeout_s = stall_timeout_s
        self._clock = clock
        self._heard_at_s: float | None = None  # when the callback ran last
        block_frames = max(1, round(block_s * self.sample_rate_hz))
        self._block_s = block_frames / self.sample_rate_hz
        self._ring = BlockRing(max(2, round(ring_s / self._block_s)), block_frames)
        try:
            self._stream: Any = sounddevice.InputStream(
                device=device.index,
                channels=_N_CHANNELS,
                dtype="float32",
                samplerate=self.sample_rate_hz,
                blocksize=block_frames,
                callback=self._callback,
            )
        except sounddevice.PortAudioError as error:
            raise _cannot_open(device.name, error) from error

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait in the ring."""
        return self._ring.n_waiting * self._block_s

    def blocks(self) -> Iterator[Block]:
        """Blocks as they arrive; empty ones while the card is silent.

        Raises
        ------
        AudioError
            When the card cannot be started, is unplugged, or silent for `stall_timeout_s`.
        """
        try:
            self._stream.start()
        except load_sounddevice().PortAudioError as error:
            raise _cannot_open(self.name, error) from error
        started_at_s = self._clock()
        position = 0
        while True:
            block = self._ring.read(_POLL_S)
            if block is not None:
                yield block
                position = block.end_frame
                continue
            if not self._stream.active:
                raise AudioError(f"sound device {self.name!r} is gone; plug it in again")
            heard_at_s = started_at_s if self._heard_at_s is None else self._heard_at_s
            if self._clock() - heard_at_s > self._stall_timeout_s:
                raise AudioError(
                    f"sound device {self.name!r} delivered nothing for "
                    f"{self._stall_timeout_s:g} s; check its cable, then start again"
                )
            yield Block(position, np.empty((_N_CHANNELS, 0), np.float32))

    def close(self) -> None:
        """Close the stream, or give up after a deadline: a hung driver never returns."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        closing = threading.Thread(target=stream.close, name="close-portaudio", daemon=True)
        closing.start()
        closing.join(_CLOSE_DEADLINE_S)
        if closing.is_alive():
            _log.warning("sound device %r hangs; leaving it to the system", self.name)
            # sounddevice terminates PortAudio at exit, which would wait for ever as well.
            atexit.unregister(load_sounddevice()._exit_handler)

    def _callback(
        self, frames: NDArray[np.float32], n_frames: int, _time: object, status: Any
    ) -> None:
        now_s = self._clock()
        heard_at_s, self._heard_at_s = self._heard_at_s, now_s
        if heard_at_s is not None and now_s - heard_at_s > _BURST_S + self._block_s:
            lost = round((now_s - heard_at_s) * self.sample_rate_hz) - n_frames
            self._ring.write(frames, _STALL, lost)
        else:
            self._ring.write(frames, _OVERFLOW if status.input_overflow else None)


def _supported_rate_hz(sounddevice: Any, device: InputDevice, preferred_rate_hz: int) -> int:
    rates_hz = dict.fromkeys((device.default_rate_hz, preferred_rate_hz, 48000, 44100))
    error: Exception | None = None
    for rate_hz in rates_hz:
        try:
            sounddevice.check_input_settings(
                device=device.index, channels=_N_CHANNELS, dtype="float32", samplerate=rate_hz
            )
        except sounddevice.PortAudioError as refused:
            error = error or refused
        else:
            return rate_hz
    raise _cannot_open(device.name, error)


def _cannot_open(name: str, error: Exception | None) -> AudioError:
    # PortAudioError: text, number of the error, and what the host API says.
    detail = " ".join(str(part) for part in error.args[:1]) if error else "no reason given"
    if "unavailable" in str(error).lower() or "busy" in str(error).lower():
        return AudioError(
            f"sound device {name!r} is busy ({detail}); end the program that uses it: "
            "'fuser -v /dev/snd/*' names it"
        )
    return AudioError(f"cannot record two channels from sound device {name!r}: {detail}")
