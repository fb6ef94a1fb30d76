"""Sound from a pipe: raw PCM, or a WAV stream, which is recognised by its header."""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.audio_file import one_behind_another
from edge_asd.audio.block import N_CHANNELS
from edge_asd.audio.channels import NearFar, rows_of
from edge_asd.audio.magic import MAGIC_BYTES, format_of, is_iff
from edge_asd.audio.pcm import PcmFormat
from edge_asd.audio.source import RecordedSource
from edge_asd.audio.wav import Reader, WavHeader, is_chunk, wav_header
from edge_asd.errors import AudioError, UsageError

__all__ = ["PipeSource", "standard_input"]

_POLL_S = 0.2  # how soon a silent pipe lets its reader notice a request to stop
_ENDLESS = 1 << 62  # bytes
_LEAST_MAGIC_BYTES = 4
_LONG_BYTES = 1 << 20
# What may be seen at the start of a pipe by mistake, and how to decode it. Anything else there is
# raw: samples may begin with the marks of other formats by chance.
_DECODERS = {
    "FLAC": "flac -dc FILE",
    **dict.fromkeys(
        ("AIFF", "AIFF-C", "CAF", "Wave64", "AU", "Ogg", "MP3"), "ffmpeg -i FILE -f wav -"
    ),
}

_log = logging.getLogger(__name__)


class PipeSource(RecordedSource):
    """Two channels interleaved: raw, signed 16-bit little-endian, or WAV of any PCM format.

    A WAV stream is as long as its header says, and goes on behind that where the header did
    not know. A new header in the middle, which arecord writes every 2 GiB, is no sound.

    Parameters
    ----------
    descriptor : of an open file, pipe or terminal; it is left to its owner
    source_rate_hz : of raw PCM; None: it must be WAV
    sample_rate_hz : of the blocks
    block_s : length of a block
    channels : which are near and far; raw PCM has two
    stall_timeout_s : after so long without audio the other end counts as dead
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        descriptor: int,
        *,
        source_rate_hz: int | None,
        sample_rate_hz: int,
        block_s: float,
        stall_timeout_s: float,
        channels: NearFar = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("stdin", source_rate_hz, sample_rate_hz)
        self._descriptor = descriptor
        self._block_s = block_s
        self._stall_timeout_s = stall_timeout_s
        self._channels = channels
        self._rows: list[int] = []
        self._clock = clock
        self._heard_at_s: float | None = None
        self._held = bytearray()  # that arrived and was not used yet
        self._closed = False  # at the other end
        self._pcm: PcmFormat | None = None  # None: what comes is not known yet
        self._header: WavHeader | None = None  # None: there was none
        self._reader: Reader | None = None  # of a WAV header that has not arrived as a whole
        self._wanted = _LEAST_MAGIC_BYTES  # to know what comes
        self._left = 0  # bytes of sound, until something else may come

    def close(self) -> None:
        """Leave the descriptor to its owner."""

    def _next(self) -> NDArray[np.float32] | None:
        if not self._closed:
            self._receive()
        while not self._left:
            if len(self._held) < self._wanted and not self._closed:
                return np.empty((N_CHANNELS, 0), np.float32)
            if self._reader is not None:
                self._read_header(self._reader)
            elif not (self._begin() if self._pcm is None else self._go_on(self._pcm)):
                return None
        assert self._pcm is not None
        return self._sound(self._pcm)

    def _receive(self) -> None:
        """Wait a moment for bytes, and hold them."""
        if self._heard_at_s is None:
            self._heard_at_s = self._clock()
        # A plain read would not return to look at a request to stop.
        if select.select([self._descriptor], [], [], _POLL_S)[0]:
            self._heard_at_s = self._clock()
            pcm = self._pcm or PcmFormat(N_CHANNELS, self.source_rate_hz or self.sample_rate_hz)
            n_frames = max(1, round(self._block_s * pcm.sample_rate_hz))
            data = os.read(self._descriptor, n_frames * pcm.frame_bytes)
            self._closed = not data
            self._held += data
        elif self._clock() - self._heard_at_s > self._stall_timeout_s:
            raise AudioError(
                f"{self.name} delivered nothing for {self._stall_timeout_s:g} s; does the "
                "program at the other end of the pipe still run?"
            )

    def _begin(self) -> bool:
        """Look at the first bytes: raw samples, or a format that has a header."""
        magic = bytes(self._held[:MAGIC_BYTES])
        if is_iff(magic) and self._wanted < MAGIC_BYTES:
            self._wanted = MAGIC_BYTES
            return True
        found = format_of(magic)
        if found == "WAV":
            self._expect_header()
        elif found in _DECODERS:
            raise AudioError(
                f"{self.name} is {found}, expected WAV or raw PCM: decode it before, as in "
                f"'{_DECODERS[found]} | edge-asd listen --input -'"
            )
        elif self.source_rate_hz is None and not magic:
            raise AudioError(
                f"{self.name} ended before any sound came; did the program at the other end of "
                "the pipe start?"
            )
        elif self.source_rate_hz is None:
            raise UsageError(
                f"{self.name} is no WAV stream, and raw PCM does not say its sample rate: "
                "give --input-rate-hz"
            )
        else:
            raw = f"raw PCM on {self.name}"
            self._rows = rows_of(raw, N_CHANNELS, self._channels)
            self._pcm = PcmFormat(N_CHANNELS, self.source_rate_hz)
            self._left = _ENDLESS
        return True

    def _expect_header(self) -> None:
        self._reader = wav_header(self.name)
        self._wanted = next(self._reader)

    def _read_header(self, reader: Reader) -> None:
        try:
            self._wanted = reader.send(self._take(self._wanted))
        except StopIteration as done:
            self._reader = None
            self._heard_header(done.value)

    def _heard_header(self, header: WavHeader) -> None:
        pcm, rate_hz = header.pcm, self.source_rate_hz
        if self._pcm is None:
            self._rows = rows_of(self.name, pcm.n_channels, self._channels)
            if rate_hz not in (None, pcm.sample_rate_hz):
                _log.warning(
                    "%s: its WAV header says %d Hz; the %d Hz of --input-rate-hz are not used",
                    self.name,
                    pcm.sample_rate_hz,
                    rate_hz,
                )
            self._heard_rate(pcm.sample_rate_hz)
        elif pcm != self._pcm:
            raise AudioError(f"{self.name} goes on in another format; start it anew")
        self._pcm, self._header = pcm, header
        self._left = header.size // pcm.frame_bytes * pcm.frame_bytes or _ENDLESS
        # Behind the sound: the rest of a frame, the padding of a chunk, and what may follow.
        self._wanted = header.size - self._left + header.size % 2 + MAGIC_BYTES

    def _go_on(self, pcm: PcmFormat) -> bool:
        """Look at what is behind the sound that the header counts."""
        assert self._header is not None
        behind = self._wanted - MAGIC_BYTES
        magic = bytes(self._held[behind : self._wanted])
        known = self._header.data_bytes is not None
        if format_of(magic) == "WAV":
            self._take(behind)
            self._expect_header()
        elif known and magic.startswith(b"data"):
            raise one_behind_another(self.name)
        elif not magic or (known and is_chunk(magic[:4]) and _is_short(magic[4:8])):
            return False
        else:
            if known:
                _log.warning("%s: more sound comes than its WAV header says", self.name)
            self._left = _ENDLESS
        return True

    def _sound(self, pcm: PcmFormat) -> NDArray[np.float32] | None:
        """Return the whole frames that are held; None at the end."""
        whole = min(len(self._held), self._left) // pcm.frame_bytes * pcm.frame_bytes
        if self._closed and not whole:
            if self._held:
                _log.warning("%s ends %d bytes into a frame: left out", self.name, len(self._held))
            if self._header and self._header.data_bytes is not None and self._left < _ENDLESS:
                _log.warning("%s ends before the sound that its WAV header says", self.name)
            return None
        if self._left < _ENDLESS:
            self._left -= whole
        return pcm.decode(self._take(whole))[self._rows]

    def _take(self, n_bytes: int) -> bytes:
        taken = bytes(self._held[:n_bytes])
        del self._held[:n_bytes]
        return taken


def standard_input(
    source_rate_hz: int | None,
    *,
    sample_rate_hz: int,
    block_s: float,
    stall_timeout_s: float,
    channels: NearFar = None,
) -> PipeSource:
    """Return the sound on standard input; see :class:`PipeSource`.

    Raises
    ------
    AudioError
        When there is none.
    """
    if sys.stdin is None:
        raise AudioError("there is no standard input: it was closed before the start")
    return PipeSource(
        sys.stdin.fileno(),
        source_rate_hz=source_rate_hz,
        sample_rate_hz=sample_rate_hz,
        block_s=block_s,
        stall_timeout_s=stall_timeout_s,
        channels=channels,
    )


def _is_short(size: bytes) -> bool:
    """Whether that is the size of a chunk of words, as there are behind the sound."""
    return min(int.from_bytes(size, "little"), int.from_bytes(size, "big")) < _LONG_BYTES
