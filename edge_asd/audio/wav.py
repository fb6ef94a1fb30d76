"""The header of a WAV file or stream: what its sound is like, and how much it promises.

It is read forwards only, so that files and pipes are read alike. Sizes in it are never believed:
nothing is allocated by them, and how much sound there is, the file itself says.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_asd.audio.magic import MAGIC_BYTES
from edge_asd.audio.pcm import PcmFormat, SampleFormat, require_rate
from edge_asd.errors import AudioError

__all__ = ["WavHeader", "is_chunk", "wav_header"]

# Yields how many bytes it wants next, and is sent them, fewer where there are no more.
Reader: TypeAlias = Generator[int, bytes, "WavHeader"]

# Sizes that programs write which do not know the length yet, and leave behind when they write
# into a pipe or lose power: arecord 2 GiB, sox a little less, ffmpeg a little less than 4 GiB.
_UNKNOWN_SIZES = (range(1), range(0x7FFFF000, 0x80000001), range(0xFFFFF000, 0x100000000))
_UNKNOWN_SIZE_64 = 0xFFFFFFFFFFFFFFFF
_IN_DS64 = 0xFFFFFFFF

_PIECE_BYTES = 65_536
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of a WAVE format tag
_CODECS = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0050: "MPEG",
    0x0055: "MP3",
    0x00FF: "AAC",
    0x0161: "WMA",
}
_SAMPLES = {
    (_PCM, 1): SampleFormat.U8,
    (_PCM, 2): SampleFormat.S16,
    (_PCM, 3): SampleFormat.S24,
    (_PCM, 4): SampleFormat.S32,
    (_FLOAT, 4): SampleFormat.FLOAT32,
    (_FLOAT, 8): SampleFormat.FLOAT64,
}


@dataclass(frozen=True, slots=True)
class WavHeader:
    """Everything before the sound."""

    pcm: PcmFormat
    size: int  # of the sound in bytes, as it says
    data_bytes: int | None  # the same; None: whoever wrote it did not know
    n_bytes: int  # that were read, to the first byte of sound


def wav_header(name: object) -> Reader:
    """Read a header that :func:`edge_asd.audio.magic.format_of` has recognised.

    Raises
    ------
    AudioError
        When it is no WAV header, has no sound behind it, or is of sound in no PCM format.
    """
    n_read = 0

    def take(n_bytes: int) -> Generator[int, bytes, bytes]:
        nonlocal n_read
        data = yield n_bytes
        n_read += len(data)
        if len(data) < n_bytes:
            raise AudioError(f"{name} has no samples: it ends within its WAV header")
        return data

    def skip(n_bytes: int) -> Generator[int, bytes, None]:
        while n_bytes > 0:
            n_bytes -= len((yield from take(min(n_bytes, _PIECE_BYTES))))

    magic = yield from take(MAGIC_BYTES)
    order: Literal["big", "little"] = "big" if magic[:4] == b"RIFX" else "little"
    pcm: PcmFormat | None = None
    long_size = _UNKNOWN_SIZE_64
    while True:
        head = yield from take(8)
        chunk, size = head[:4], int.from_bytes(head[4:], order)
        if chunk == b"data":
            break
        if not is_chunk(chunk):
            raise AudioError(f"{name} is damaged: found {chunk!r} in its WAV header, no chunk")
        content = yield from take(min(size, 40)) if chunk in (b"fmt ", b"ds64") else take(0)
        if chunk == b"fmt ":
            pcm = _pcm_format(name, content, order)
        elif chunk == b"ds64":
            long_size = int.from_bytes(content[8:16].ljust(8, b"\xff"), order)
        yield from skip(size + size % 2 - len(content))
    if pcm is None:
        raise AudioError(f"{name} is damaged: its WAV header does not say what the samples are")
    if size == _IN_DS64 and long_size != _UNKNOWN_SIZE_64:
        size = long_size
    return WavHeader(pcm, size, None if _unknown(size) else size, n_read)


def is_chunk(name: bytes) -> bool:
    """Whether four bytes may be the name of a chunk."""
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _unknown(size: int) -> bool:
    """Whether a size was written by a program that did not know it."""
    return any(size in sizes for sizes in _UNKNOWN_SIZES)


def _pcm_format(name: object, fmt: bytes, order: Literal["big", "little"]) -> PcmFormat:
    if len(fmt) < 16:
        raise AudioError(f"{name} is damaged: its WAV header does not say what the samples are")

    def number(start: int, n_bytes: int = 2) -> int:
        return int.from_bytes(fmt[start : start + n_bytes], order)

    tag, n_channels, rate_hz = number(0), number(2), number(4, 4)
    block_bytes, n_bits = number(12), number(14)
    extensible = tag == _EXTENSIBLE and fmt[26:40] == _GUID_TAIL
    if extensible:
        tag = number(24)
    sample_bytes = block_bytes // max(n_channels, 1)
    samples = _SAMPLES.get((tag, sample_bytes))
    if (tag, sample_bytes, n_bits, extensible) == (_PCM, 4, 24, False):
        samples = SampleFormat.S24_IN_32
    if samples is None or sample_bytes * n_channels != block_bytes:
        codec = _CODECS.get(tag, f"format 0x{tag:04x}, {n_bits} bits")
        raise AudioError(
            f"{name} cannot be decoded: its samples are {codec}, expected PCM or floating point; "
            "record it again, or convert it to WAV with 16 bits"
        )
    require_rate(name, rate_hz)
    return PcmFormat(n_channels, rate_hz, samples, order == "big")
