"""Magnitude spectrum of a whole window: the one feature that is not an ONNX graph.

A real FFT of 10^5 and more points has no good ONNX form, so this single numpy call is
the definition for training and device alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["magnitude_spectrum"]


def magnitude_spectrum(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitudes of the real FFT of each row, DC up to just below Nyquist.

    Parameters
    ----------
    audio : (..., n_samples) float32 in [-1, 1]

    Returns
    -------
    (..., n_samples // 2) float32, neither scaled nor compressed. The FFT branch of the
    FKIE network takes exactly this (Wilkinghoff, DCASE 2023 Challenge Task 2).
    """
    n_bins = audio.shape[-1] // 2
    return np.abs(np.fft.rfft(audio, axis=-1)[..., :n_bins]).astype(np.float32, copy=False)
