"""The view ``clean`` of numpy on the device is the same as PyTorch makes of the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edge_asd.audio.noise_cancelling import HOP, N_FFT, clean

RATE_HZ = 16000


def by_torch(audio: NDArray[np.float32], pad_mode: str) -> NDArray[np.float64]:
    sound = torch.from_numpy(audio.astype(np.float64))
    window = torch.hann_window(N_FFT, dtype=torch.float64)
    near, far = torch.stft(sound, N_FFT, HOP, window=window, pad_mode=pad_mode, return_complex=True)
    transfer = (near * far.conj()).sum(1, keepdim=True)
    transfer = transfer / (far.abs().square().sum(1, keepdim=True) + 1e-12)
    left = torch.istft(near - transfer * far, N_FFT, HOP, window=window, length=audio.shape[1])
    return np.asarray(left.numpy())


# Mirrored ends, PyTorch's default, are other frames: two of 157 on either side.
@pytest.mark.parametrize(("pad_mode", "within"), [("constant", 1e-5), ("reflect", 0.05)])
def test_it_is_what_pytorch_makes_of_the_formula(pad_mode: str, within: float) -> None:
    rng = np.random.default_rng(0)
    own, common = rng.normal(0, 0.05, (2, 157 * HOP))
    far = np.convolve(common, [1.0, 0.5, -0.2])[: len(common)]
    near = 0.3 * own + np.convolve(common, [0.0] * 40 + [0.8, 0.3])[: len(common)]
    audio = np.stack([near, far]).astype(np.float32)

    apart = (clean(audio)[0] - by_torch(audio, pad_mode))[N_FFT:-N_FFT]

    assert np.sqrt(np.square(apart).mean()) < within * np.sqrt(np.square(0.3 * own).mean())
