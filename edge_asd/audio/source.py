"""Where audio comes from: one protocol, and the sources that need no sound card.

A source hands out blocks in stream order. A block that does not begin where the one
before it ended, or that names a reason, follows a gap; an empty block only says that
nothing arrived for a moment, so that the one who reads can look at other things.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.audio.decode import open_audio, pcm16_to_float32, require_finite
from edge_asd.errors import AudioError

__all__ = ["AudioSource", "Block", "FileSource", "RawSource"]

_N_CHANNELS = 2
_PCM16_FRAME_BYTES = 2 * _N_CHANNELS
_POLL_S = 0.2  # how soon a silent source lets its reader notice a request to stop


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive frames of a stream."""

    start_frame: int  # since the start of the stream, lost frames included
    audio: NDArray[np.float32]  # (n_channels, n_frames)
    gap: str | None = None  # why audio is missing right before it, when it is

    @property
    def n_frames(self) -> int:
        return int(self.audio.shape[1])

    @property
    def end_frame(self) -> int:
        return self.start_frame + self.n_frames


class AudioSource(Protocol):
    """A stream of two-channel audio: channel 0 near, channel 1 far."""

    @property
    def name(self) -> str:
        """What events call it."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """Frames per second of the blocks."""
        ...

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that arrived but were not read yet."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Blocks until the stream ends."""
        ...

    def close(self) -> None:
        """Let go of file or device; may be called twice."""
        ...


class FileSource:
    """A WAV or FLAC file, as fast as it is read.

    Raises
    ------
    AudioError
        When the file cannot be used, or does not have two channels.
    """

    backlog_s = 0.0

    def __init__(self, path: Path, *, block_s: float = 0.1) -> None:
        self._file = open_audio(path)
        self.name = str(path)
        self.sample_rate_hz = int(self._file.samplerate)
        self.n_frames = int(self._file.frames)
        self._block_frames = max(1, round(block_s * self.sample_rate_hz))
        if self._file.channels != _N_CHANNELS:
            found = self._file.channels
            self.close()
            raise AudioError(
                f"{path} has {found} channel{'s' * (found != 1)}, expected 2: "
                "the near and the far microphone"
            )

    def blocks(self) -> Iterator[Block]:
        """Blocks until the end of the file.

        Raises
        ------
        AudioError
            When the file is damaged or has samples that are not finite.
        """
        position = 0
        while position < self.n_frames:
            try:
                frames = self._file.read(self._block_frames, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise AudioError(f"{self.name} is damaged after {position} frames") from error
            if not len(frames):
                raise AudioError(
                    f"{self.name} is cut short: found {position} of {self.n_frames} frames"
                )
            yield Block(position, require_finite(np.ascontiguousarray(frames.T), self.name))
            position += len(frames)

    def require_window(self, window_samples: int, sample_rate_hz: int) -> None:
        """Check that the file holds a window of so many samples at another rate.

        Raises
        ------
        AudioError
            When it is shorter.
        """
        if round(self.n_frames * sample_rate_hz / self.sample_rate_hz) < window_samples:
            raise AudioError(
                f"{self.name} is {self.n_frames / self.sample_rate_hz:g} s long, shorter than "
                f"one window of {window_samples / sample_rate_hz:g} s"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RawSource:
    """Raw PCM from a pipe: signed 16-bit little-endian, two channels interleaved.

    Parameters
    ----------
    descriptor : of an open file, pipe or terminal; it is not closed
    stall_timeout_s : after so long without audio the other end counts as dead; None: never
    clock : seconds that never run backwards
    """

    backlog_s = 0.0

    def __init__(
        self,
        descriptor: int,
        *,
        sample_rate_hz: int,
        block_s: float = 0.1,
        name: str = "stdin",
        stall_timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._stall_timeout_s = math.inf if stall_timeout_s is None else stall_timeout_s
        self._clock = clock
        self.sample_rate_hz = sample_rate_hz
        self._descriptor = descriptor
        self._block_bytes = max(1, round(block_s * sample_rate_hz)) * _PCM16_FRAME_BYTES

    def blocks(self) -> Iterator[Block]:
        """Blocks until the other end closes the pipe; empty ones while it says nothing.

        Raises
        ------
        AudioError
            When it says nothing for too long.
        """
        position = 0
        pending = b""
        heard_at_s = self._clock()
        while True:
            # A plain read would not return to look at a request to stop.
            if not select.select([self._descriptor], [], [], _POLL_S)[0]:
                self._require_life(self._clock() - heard_at_s)
                yield Block(position, np.empty((_N_CHANNELS, 0), np.float32))
                continue
            heard_at_s = self._clock()
            data = os.read(self._descriptor, self._block_bytes)
            if not data:
                return
            pending += data
            n_frames = len(pending) // _PCM16_FRAME_BYTES
            whole = n_frames * _PCM16_FRAME_BYTES
            frames = pcm16_to_float32(pending[:whole]).reshape(-1, _N_CHANNELS)
            pending = pending[whole:]
            yield Block(position, np.ascontiguousarray(frames.T))
            position += n_frames

    def close(self) -> None:
        """Leave the descriptor to its owner."""

    def _require_life(self, silent_s: float) -> None:
        if silent_s > self._stall_timeout_s:
            raise AudioError(
                f"{self.name} delivered nothing for {self._stall_timeout_s:g} s; does the "
                "program at the other end of the pipe still run?"
            )
