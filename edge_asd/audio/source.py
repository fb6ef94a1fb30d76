"""Recordings as sources: at the bundle's rate, always there, without gaps."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.audio_file import Say
from edge_asd.audio.block import Block, Gap
from edge_asd.audio.channels import NearFar, rows_of
from edge_asd.audio.decode import open_audio, require_finite
from edge_asd.audio.resample import Resampler
from edge_asd.errors import AudioError

__all__ = [
    "FileSource",
    "RecordedSource",
    "audio_files",
    "require_usable",
    "several",
]

_SUFFIXES = (".flac", ".wav")

_log = logging.getLogger(__name__)


class RecordedSource(ABC):
    """What files and pipes have in common as an :class:`edge_asd.audio.block.Source`.

    Parameters
    ----------
    source_rate_hz : of the file or pipe; None: `_heard_rate` says it later
    sample_rate_hz : of the blocks
    """

    state = "healthy"
    backlog_s = 0.0
    drift_ppm = None
    reopened = 0

    def __init__(self, name: str, source_rate_hz: int | None, sample_rate_hz: int) -> None:
        self.name = name
        self.source_rate_hz: int | None = None
        self.sample_rate_hz = sample_rate_hz
        self._resampler = Resampler(sample_rate_hz, sample_rate_hz)
        self._position = 0  # frames that were read, at the source's rate
        self._ended = False
        if source_rate_hz is not None:
            self._heard_rate(source_rate_hz)

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

    def _heard_rate(self, source_rate_hz: int) -> None:
        """Take note of the rate, before the first frame."""
        self.source_rate_hz = source_rate_hz
        self._resampler = Resampler(source_rate_hz, self.sample_rate_hz)

    @abstractmethod
    def _next(self) -> NDArray[np.float32] | None:
        """The next frames (2, n), n = 0 while nothing comes; None at the end."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is read; may be called twice."""


class FileSource(RecordedSource):
    """A WAV or FLAC file, as fast as it is read.

    Parameters
    ----------
    sample_rate_hz : of the blocks
    block_s : length of a block
    channels : which are near and far
    say : is told how the file differs from its header

    Raises
    ------
    AudioError
        When the file cannot be used, or does not have these channels.
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate_hz: int,
        block_s: float = 0.1,
        channels: NearFar = None,
        say: Say = _log.warning,
    ) -> None:
        self._file = open_audio(path, say)
        super().__init__(str(path), self._file.sample_rate_hz, sample_rate_hz)
        self._block_frames = max(1, round(block_s * self._file.sample_rate_hz))
        self._ahead: deque[NDArray[np.float32]] = deque()  # read, and not handed on yet
        try:
            self._rows = rows_of(path, self._file.n_channels, channels)
        except AudioError:
            self.close()
            raise

    def _next(self) -> NDArray[np.float32] | None:
        audio = self._ahead.popleft() if self._ahead else self._file.read(self._block_frames)
        if not audio.shape[1]:
            return None
        return require_finite(audio[self._rows], self.name)

    def require_window(self, window_samples: int) -> None:
        """Check that the file holds a window of so many samples at the rate of the blocks.

        Raises
        ------
        AudioError
            When it is shorter, or damaged before its end.
        """
        rate_hz, n_frames = self._file.sample_rate_hz, sum(a.shape[1] for a in self._ahead)
        while round(n_frames * self.sample_rate_hz / rate_hz) < window_samples:
            self._ahead.append(self._file.read(self._block_frames))
            n_frames += self._ahead[-1].shape[1]
            if not self._ahead[-1].shape[1]:
                raise AudioError(
                    f"{self.name} is {n_frames / rate_hz:g} s long, shorter than one window of "
                    f"{window_samples / self.sample_rate_hz:g} s"
                )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def require_usable(
    files: Sequence[Path],
    window_samples: int,
    sample_rate_hz: int,
    stop: threading.Event,
    channels: NearFar = None,
) -> float:
    """Read files to their ends; return how many seconds of sound they hold.

    Parameters
    ----------
    window_samples : that each must hold, at this rate
    stop : set to leave the rest out
    channels : which are near and far

    Raises
    ------
    AudioError
        When some cannot be used; it names all of them.
    """
    seconds, errors = 0.0, list[AudioError]()
    for path in files:
        try:
            source = FileSource(
                path,
                sample_rate_hz=sample_rate_hz,
                block_s=1.0,
                channels=channels,
                say=lambda line: None,
            )
            with closing(source):
                source.require_window(window_samples)
                while not stop.is_set() and (audio := source._next()) is not None:
                    seconds += audio.shape[1] / source._file.sample_rate_hz
        except AudioError as error:
            errors.append(error)
    if errors:
        raise several(errors, len(files))
    return seconds


def several(errors: Sequence[AudioError], n_files: int) -> AudioError:
    """Return one error for all files that cannot be used, of so many."""
    if len(errors) == 1:
        return errors[0]
    lines = [f"{len(errors)} of {n_files} files cannot be used:", *map(str, errors)]
    return AudioError("\n  ".join(lines))


def _is_recording(path: Path) -> bool:
    """Whether a file counts in a folder; macOS leaves `._name` twins behind."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


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
            inside = sorted(one for one in path.iterdir() if _is_recording(one))
        if not inside:
            raise AudioError(f"{path} holds no {' or '.join(_SUFFIXES)} files")
        files += inside
    return files
