"""How loud sound is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SILENCE_DBFS", "level_dbfs", "peak_dbfs", "power_dbfs"]

SILENCE_DBFS = -120.0  # below the floor of 16-bit audio (-98 dBFS); keeps levels finite


def level_dbfs(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square of each channel in dB of full scale, shape (n_channels,).

    A full-scale square wave has 0 dBFS, a full-scale sine -3.01 dBFS; nothing is below
    `SILENCE_DBFS`.
    """
    energy = np.sum(np.square(audio, dtype=np.float64), axis=-1)
    power = energy / max(audio.shape[-1], 1)
    return power_dbfs(power)


def peak_dbfs(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest sample of each channel in dB of full scale, shape (n_channels,)."""
    return power_dbfs(np.square(np.abs(audio).max(axis=-1), dtype=np.float64))


def power_dbfs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square in dB of full scale; nothing is below `SILENCE_DBFS`."""
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10))))
