"""Recordings and pipes as sources: at the bundle's rate, always there, without gaps."""

from __future__ import annotations

import os
import select
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.audio.block import N_CHANNELS, Block, Gap
from edge_asd.audio.decode import open_audio, pcm16_to_float32, require_finite
from edge_asd.audio.resample import Resampler
from edge_asd.errors import AudioError

__all__ = ["FileSource", "RawSource", "audio_files", "standard_input"]

_PCM16_FRAME_BYTES = 2 * N_CHANNELS
_SUFFIXES = (".flac", ".wav")
_POLL_S = 0.2  # how soon a silent pipe lets its reader notice a request to stop


class _RecordedSource(ABC):
    """What files and pipes have in common as an :class:`edge_asd.audio.block.Source`.

    Parameters
    ----------
    source_rate_hz : of the file or pipe
    sample_rate_hz : of the blocks
    """

    state = "healthy"
    backlog_s = 0.0
    drift_ppm = None
    reopened = 0

    def __init__(self, name: str, source_rate_hz: int, sample_rate_hz: int) -> None:
        self.name = name
        self.source_rate_hz = source_rate_hz
        self.sample_rate_hz = sample_rate_hz
        self._resampler = Resampler(self.source_rate_hz, self.sample_rate_hz)
        self._position = 0  # frames that were read, at the source's rate
        self._ended = False

    def read(self) -> Block | Gap | None:
        """Return the next block, None after the last.

        Raises
        ------
        AudioError
            When a file is damaged, or a pipe says nothing for too long.
        """
        if self._ended:
            return None
        audio = self._next()
        if audio is None:
            self._ended = True
            return next(iter(self._resampler.finish()), None)
        block = Block(self._position, audio)
        self._position = block.end_frame
        return self._resampler.push(block)[0]

    @abstractmethod
    def _next(self) -> NDArray[np.float32] | None:
        """The next frames (2, n), n = 0 while nothing comes; None at the end."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is read; may be called twice."""


class FileSource(_RecordedSource):
    """A WAV or FLAC file, as fast as it is read.

    Parameters
    ----------
    sample_rate_hz : of the blocks
    block_s : length of a block

    Raises
    ------
    AudioError
        When the file cannot be used, or does not have two channels.
    """

    def __init__(self, path: Path, *, sample_rate_hz: int, block_s: float = 0.1) -> None:
        self._file = open_audio(path)
        super().__init__(str(path), int(self._file.samplerate), sample_rate_hz)
        self.n_frames = int(self._file.frames)  # at the file's rate
        self._block_frames = max(1, round(block_s * self.source_rate_hz))
        if self._file.channels != N_CHANNELS:
            found = self._file.channels
            self.close()
            raise AudioError(
                f"{path} has {found} channel{'s' * (found != 1)}, expected 2: "
                "the near and the far microphone"
            )

    def _next(self) -> NDArray[np.float32] | None:
        if self._position >= self.n_frames:
            return None
        try:
            frames = self._file.read(self._block_frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self.name} is damaged after {self._position} frames") from error
        if not len(frames):
            raise AudioError(
                f"{self.name} is cut short: found {self._position} of {self.n_frames} frames"
            )
        return require_finite(np.ascontiguousarray(frames.T), self.name)

    def require_window(self, window_samples: int) -> None:
        """Check that the file holds a window of so many samples at the rate of the blocks.

        Raises
        ------
        AudioError
            When it is shorter.
        """
        length_s = self.n_frames / self.source_rate_hz
        if round(length_s * self.sample_rate_hz) < window_samples:
            raise AudioError(
                f"{self.name} is {length_s:g} s long, shorter than one window of "
                f"{window_samples / self.sample_rate_hz:g} s"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RawSource(_RecordedSource):
    """Raw PCM from a pipe: signed 16-bit little-endian, two channels interleaved.

    Parameters
    ----------
    descriptor : of an open file, pipe or terminal; it is left to its owner
    source_rate_hz : of the PCM
    sample_rate_hz : of the blocks
    block_s : length of a block
    stall_timeout_s : after so long without audio the other end counts as dead
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        descriptor: int,
        *,
        source_rate_hz: int,
        sample_rate_hz: int,
        block_s: float,
        stall_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("stdin", source_rate_hz, sample_rate_hz)
        self._stall_timeout_s = stall_timeout_s
        self._clock = clock
        self._descriptor = descriptor
        self._block_bytes = max(1, round(block_s * source_rate_hz)) * _PCM16_FRAME_BYTES
        self._partial = b""  # of a frame
        self._heard_at_s: float | None = None

    def _next(self) -> NDArray[np.float32] | None:
        if self._heard_at_s is None:
            self._heard_at_s = self._clock()
        data = b""
        # A plain read would not return to look at a request to stop.
        if select.select([self._descriptor], [], [], _POLL_S)[0]:
            self._heard_at_s = self._clock()
            data = os.read(self._descriptor, self._block_bytes)
            if not data:
                return None
        elif self._clock() - self._heard_at_s > self._stall_timeout_s:
            raise AudioError(
                f"{self.name} delivered nothing for {self._stall_timeout_s:g} s; does the "
                "program at the other end of the pipe still run?"
            )
        data = self._partial + data
        whole = len(data) // _PCM16_FRAME_BYTES * _PCM16_FRAME_BYTES
        self._partial = data[whole:]
        return np.ascontiguousarray(pcm16_to_float32(data[:whole]).reshape(-1, N_CHANNELS).T)

    def close(self) -> None:
        """Leave the descriptor to its owner."""


def standard_input(
    source_rate_hz: int, *, sample_rate_hz: int, block_s: float, stall_timeout_s: float
) -> RawSource:
    """Return raw PCM on standard input; see :class:`RawSource`.

    Raises
    ------
    AudioError
        When there is none.
    """
    if sys.stdin is None:
        raise AudioError("there is no standard input: it was closed before the start")
    return RawSource(
        sys.stdin.fileno(),
        source_rate_hz=source_rate_hz,
        sample_rate_hz=sample_rate_hz,
        block_s=block_s,
        stall_timeout_s=stall_timeout_s,
    )


def audio_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files named, and those in the folders named, sorted.

    Raises
    ------
    AudioError
        When a folder has none.
    """
    files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES)
        if not inside:
            raise AudioError(f"{path} holds no {' or '.join(_SUFFIXES)} files")
        files += inside
    return files
