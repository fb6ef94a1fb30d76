"""WAV files: RIFF, RIFX and RF64, of PCM and floating point, as long as they really are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.audio_file import AudioFile, Say, cut_short, one_behind_another
from edge_asd.audio.wav import WavHeader, is_chunk, wav_header
from edge_asd.errors import AudioError

__all__ = ["WavFile"]

# What lies behind the sound and is no chunk: that much is sound which the header does not count,
# less is none.
_LEAST_SOUND_S = 0.5
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # that music players append


class WavFile(AudioFile):
    """An opened WAV file.

    Parameters
    ----------
    file : it is closed with the WAV file
    start : where in it the header begins
    say : see :data:`edge_asd.audio.audio_file.Say`

    Raises
    ------
    AudioError
        When it cannot be used.
    """

    def __init__(self, path: Path, file: BinaryIO, start: int, say: Say) -> None:
        self._file = file
        file.seek(start)
        header = _header(path, file)
        self._sound_at = start + header.n_bytes
        self._pcm = pcm = header.pcm
        super().__init__(
            str(path),
            n_channels=pcm.n_channels,
            sample_rate_hz=pcm.sample_rate_hz,
            say=say,
        )
        there = os.fstat(file.fileno()).st_size - self._sound_at
        n_bytes = self._sound_bytes(header, there)
        if n_bytes < pcm.frame_bytes:
            raise AudioError(f"{path} has no samples")
        self._n_frames, partial = divmod(n_bytes, pcm.frame_bytes)
        if header.data_bytes != n_bytes:
            promised = header.data_bytes and header.data_bytes // pcm.frame_bytes
            self._say_length(promised, self._n_frames)
        if partial:
            say(f"{path}: {partial} byte{'s' * (partial > 1)} at its end, no whole frame, left out")
        self._left = self._n_frames
        file.seek(self._sound_at)

    @property
    def n_frames(self) -> int:
        """See :attr:`AudioFile.n_frames`."""
        return self._n_frames

    def read(self, n_frames: int) -> NDArray[np.float32]:
        """See :meth:`AudioFile.read`."""
        n_frames = min(n_frames, self._left)
        wanted = n_frames * self._pcm.frame_bytes
        try:
            data = self._file.read(wanted)
        except OSError as error:
            raise AudioError(f"{self.name} cannot be read: {error.strerror}") from error
        if len(data) < wanted:
            raise AudioError(f"{self.name} became shorter while it was read")
        self._left -= n_frames
        return self._pcm.decode(data)

    def close(self) -> None:
        """See :meth:`AudioFile.close`."""
        self._file.close()

    def _sound_bytes(self, header: WavHeader, there: int) -> int:
        """Return how many bytes are sound, of those that are behind the header."""
        promised, end = header.data_bytes, self._sound_at + there
        if promised is None:
            empty = header.size == 0 and self._behind_chunks(self._sound_at, end) == end
            return 0 if empty else there
        if there + 1 < promised:  # one byte may be missing: a chunk's padding
            raise cut_short(self.name, there, promised, "bytes of audio")
        if there <= promised + promised % 2:
            return min(there, promised)
        start = self._sound_at + promised + promised % 2
        at = self._behind_chunks(start, end)
        if at == end:
            return promised
        self._file.seek(at)
        tagged = self._file.read(8).startswith(_TAGS)
        seconds = (end - at) / self._pcm.frame_bytes / self._pcm.sample_rate_hz
        if at == start and seconds >= _LEAST_SOUND_S and not tagged:
            return there
        self._say(f"{self.name}: the {end - at} bytes behind its sound are no sound and left out")
        return promised

    def _behind_chunks(self, at: int, end: int) -> int:
        """Return where the chunks end that begin at a byte; it is `end` when all are whole."""
        order: Literal["big", "little"] = "big" if self._pcm.big_endian else "little"
        while at < end:
            self._file.seek(at)
            head = self._file.read(8)
            if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"data"):
                raise one_behind_another(self.name)
            size = int.from_bytes(head[4:], order)
            if len(head) < 8 or not is_chunk(head[:4]) or at + 8 + size > end:
                break
            at += 8 + size + size % 2
        return min(at, end)


def _header(path: Path, file: BinaryIO) -> WavHeader:
    reader = wav_header(path)
    wanted = next(reader)
    try:
        while True:
            wanted = reader.send(file.read(wanted))
    except StopIteration as done:
        header: WavHeader = done.value
        return header
