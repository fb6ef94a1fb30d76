"""PCM as bytes -> float32: every sample format that WAV files and pipes carry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import AudioError

__all__ = ["PcmFormat", "SampleFormat", "require_rate"]

_RATES_HZ = range(1000, 768_001)


class SampleFormat(Enum):
    """One sample."""

    U8 = "u8"
    S16 = "s16"
    S24 = "s24"
    S24_IN_32 = "s24 in 32"  # the lower three of four bytes: S24_LE of ALSA
    S32 = "s32"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


_BYTES = {
    SampleFormat.U8: 1,
    SampleFormat.S16: 2,
    SampleFormat.S24: 3,
    SampleFormat.S24_IN_32: 4,
    SampleFormat.S32: 4,
    SampleFormat.FLOAT32: 4,
    SampleFormat.FLOAT64: 8,
}
# Of the numbers that bytes are read as, 24 bits being the upper ones of 32.
_FULL_SCALE = {
    SampleFormat.U8: 2.0**7,
    SampleFormat.S16: 2.0**15,
    SampleFormat.S24: 2.0**31,
    SampleFormat.S24_IN_32: 2.0**31,
    SampleFormat.S32: 2.0**31,
}


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """How interleaved samples lie in bytes."""

    n_channels: int
    sample_rate_hz: int
    samples: SampleFormat = SampleFormat.S16
    big_endian: bool = False

    @property
    def frame_bytes(self) -> int:
        return self.n_channels * _BYTES[self.samples]

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """Return whole frames as audio (n_channels, n_frames); full scale is 1."""
        with np.errstate(over="ignore"):  # what 32 bits of floating point cannot hold is infinite
            audio: NDArray[np.float32] = self._numbers(data).astype(np.float32)
        audio /= np.float32(_FULL_SCALE.get(self.samples, 1.0))
        frames: NDArray[np.float32] = audio.reshape(-1, self.n_channels)
        return np.ascontiguousarray(frames.T)

    def _numbers(self, data: bytes) -> NDArray[Any]:
        order = ">" if self.big_endian else "<"
        if self.samples is SampleFormat.U8:
            return np.frombuffer(data, np.uint8) - np.float32(128)
        if self.samples is SampleFormat.S24:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            first = 0 if self.big_endian else 1
            wide[:, first : first + 3] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return wide.view(f"{order}i4")
        if self.samples is SampleFormat.S24_IN_32:
            return np.frombuffer(data, f"{order}i4") << 8
        kind = "i" if self.samples in _FULL_SCALE else "f"
        return np.frombuffer(data, f"{order}{kind}{_BYTES[self.samples]}")


def require_rate(name: object, rate_hz: int) -> None:
    """Check that a header says a sample rate of sound.

    Raises
    ------
    AudioError
        When it does not.
    """
    if rate_hz not in _RATES_HZ:
        raise AudioError(
            f"{name} is damaged: its header says {rate_hz} Hz, expected {_RATES_HZ[0]} to "
            f"{_RATES_HZ[-1]}"
        )
