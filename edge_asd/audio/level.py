"""How loud sound is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SILENCE_DBFS", "level_dbfs"]

SILENCE_DBFS = -120.0  # below the floor of 16-bit audio (-98 dBFS); keeps levels finite


def level_dbfs(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square of each channel in dB of full scale, shape (n_channels,).

    A full-scale square wave has 0 dBFS, a full-scale sine -3.01 dBFS; nothing is below
    `SILENCE_DBFS`.
    """
    energy = np.sum(np.square(audio, dtype=np.float64), axis=-1)
    power = energy / max(audio.shape[-1], 1)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10))))
