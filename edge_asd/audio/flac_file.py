"""FLAC files, as long as they really are: decoded to the end, whatever the header says.

libsndfile stops where the header says that the sound ends, and does not read files well whose
header says nothing. It is therefore shown a header that says nothing, and asked for frames until
there are none.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.audio.audio_file import AudioFile, Say, cut_short, one_behind_another
from edge_asd.audio.pcm import require_rate
from edge_asd.errors import AudioError

__all__ = ["FLAC_MAGIC", "FlacFile"]

FLAC_MAGIC = b"fLaC"
# Of the first block of a FLAC file, behind the mark and the head of the block: the last 36 of
# these bits are the number of frames (RFC 9639, 8.2).
_NUMBERS_AT = 4 + 4 + 10
_FRAMES = (1 << 36) - 1
_PIECE = 4096
_ANOTHER = FLAC_MAGIC + bytes((0, 0, 0, 34))  # with the head of its first block
_AROUND_BYTES = 65_536  # the end of the sound is nearer than that to where the decoder reads


class FlacFile(AudioFile):
    """An opened FLAC file.

    Parameters
    ----------
    file : it is closed with the FLAC file
    start : where in it the mark of FLAC is
    say : see :data:`edge_asd.audio.audio_file.Say`

    Raises
    ------
    AudioError
        When it cannot be used.
    """

    def __init__(self, path: Path, file: BinaryIO, start: int, say: Say) -> None:
        self._path, self._start = path, start
        self._bytes = _WithoutLength(file, start)
        try:
            self._decoder = _Decoder(self._bytes)
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"{path} cannot be decoded as WAV or FLAC: {_reason(error)}"
            ) from error
        require_rate(path, int(self._decoder.samplerate))
        self._promised = self._bytes.n_frames or None
        self._position = 0
        self._ended = False
        self._held = np.empty((int(self._decoder.channels), 0), np.float32)  # decoded, not read
        super().__init__(
            str(path),
            n_channels=int(self._decoder.channels),
            sample_rate_hz=int(self._decoder.samplerate),
            say=say,
        )

    @property
    def n_frames(self) -> int:
        """See :attr:`AudioFile.n_frames`."""
        if self._promised is not None:
            return self._promised
        with FlacFile(self._path, self._path.open("rb"), self._start, lambda line: None) as again:
            while again.read(_PIECE).shape[1]:
                pass
            return again._position

    def read(self, n_frames: int) -> NDArray[np.float32]:
        """See :meth:`AudioFile.read`."""
        while not self._ended and self._held.shape[1] < n_frames:
            piece = self._decoded()
            self._position += piece.shape[1]
            self._held = np.concatenate([self._held, piece], axis=1)
            if not piece.shape[1]:
                self._end()
        audio, self._held = self._held[:, :n_frames], self._held[:, n_frames:]
        return np.ascontiguousarray(audio)

    def close(self) -> None:
        """See :meth:`AudioFile.close`."""
        self._decoder.close()
        self._bytes.file.close()

    def _decoded(self) -> NDArray[np.float32]:
        n_frames = _PIECE
        if self._promised is not None and self._position < self._promised:
            n_frames = min(n_frames, self._promised - self._position)  # behind it may be no sound
        try:
            frames = self._decoder.read(n_frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            if self._bytes.error:
                reason = self._bytes.error.strerror
                raise AudioError(f"{self.name} cannot be read: {reason}") from error
            behind = self._promised is not None and self._position >= self._promised
            if not (behind or self._bytes.at_end):
                raise AudioError(
                    f"{self.name} is damaged after {self._seconds(self._position)}: "
                    f"{_reason(error)}"
                ) from error
            frames = np.empty((0, self.n_channels), np.float32)
        return np.asarray(frames.T)

    def _end(self) -> None:
        self._ended = True
        promised = self._promised
        if promised is not None and self._position < promised:
            raise cut_short(self.name, self._position, promised, "frames")
        if not self._position:
            raise AudioError(f"{self.name} has no samples")
        if self._bytes.begins_again:
            raise one_behind_another(self.name)
        self._say_length(promised, self._position)


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]
    """Never asks where it is: seeking fails where nobody knows how long the sound is."""

    def seekable(self) -> bool:
        """See the base class."""
        return False


class _WithoutLength(io.RawIOBase):
    """The bytes of a FLAC file from its mark on, with 0 for the number of frames."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.file = file
        self.error: OSError | None = None
        self._start = start
        self._end = os.fstat(file.fileno()).st_size
        file.seek(start + _NUMBERS_AT)
        numbers = int.from_bytes(file.read(8))
        self.n_frames = numbers & _FRAMES
        self._numbers = (numbers & ~_FRAMES).to_bytes(8)
        file.seek(start)

    @property
    def at_end(self) -> bool:
        """Whether all of it was read."""
        return self.file.tell() >= self._end

    @property
    def begins_again(self) -> bool:
        """Whether another recording begins about where the decoder reads."""
        at = max(self._start + len(FLAC_MAGIC), self.file.tell() - _AROUND_BYTES)
        self.file.seek(at)
        return _ANOTHER in self.file.read(2 * _AROUND_BYTES)

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """See the base class."""
        try:
            at = self.tell()
            data = bytearray(self.file.read(len(buffer)))
        except OSError as error:  # whoever calls could only print it
            self.error = error
            return 0
        for i, byte in enumerate(self._numbers, _NUMBERS_AT - at):
            if 0 <= i < len(data):
                data[i] = byte
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See the base class."""
        if whence == os.SEEK_SET:
            offset += self._start
        return self.file.seek(offset, whence) - self._start

    def tell(self) -> int:
        """See the base class."""
        return self.file.tell() - self._start


def _reason(error: Exception) -> str:
    return str(error).rstrip(".").rpartition(": ")[2]
