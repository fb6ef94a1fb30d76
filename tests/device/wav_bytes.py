"""WAV files as bytes, whose headers say what a test wants them to."""

from __future__ import annotations

import struct

from numpy.typing import NDArray

from edge_asd.audio.decode import float32_to_pcm16

__all__ = ["chunk", "header", "pcm16", "wav"]

RATE_HZ = 16_000


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """A chunk with its padding; `size` is what its head says."""
    n_bytes = len(content) if size is None else size
    return name + struct.pack("<I", n_bytes) + content + b"\0" * (len(content) % 2)


def header(
    data_bytes: int,
    *,
    tag: int = 1,
    n_bits: int = 16,
    n_channels: int = 2,
    rate_hz: int = RATE_HZ,
    before: bytes = b"",
    block_bytes: int | None = None,
) -> bytes:
    """Everything before the sound."""
    block = n_channels * n_bits // 8 if block_bytes is None else block_bytes
    fmt = struct.pack("<HHIIHH", tag, n_channels, rate_hz, 0, block, n_bits)
    chunks = chunk(b"fmt ", fmt) + before + b"data" + struct.pack("<I", data_bytes & 0xFFFFFFFF)
    return (
        b"RIFF" + struct.pack("<I", (len(chunks) + 4 + data_bytes) & 0xFFFFFFFF) + b"WAVE" + chunks
    )


def pcm16(audio: NDArray) -> bytes:
    """Audio (2, n) as signed 16-bit samples."""
    return float32_to_pcm16(audio).astype("<i2").tobytes()


def wav(audio: NDArray, data_bytes: int | None = None, behind: bytes = b"") -> bytes:
    """A file of 16 bits; `data_bytes` is what its header says."""
    data = pcm16(audio)
    return header(len(data) if data_bytes is None else data_bytes) + data + behind
