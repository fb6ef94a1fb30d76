"""The spectrogram front-end against a float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_asd.scoring.mel import mel_filter_bank
from edge_asd_export.nn.front_ends import MagnitudeSpectrogram

ABSOLUTE = 1e-3  # float32 sums of 1024 products of size one


def reference_magnitude(audio: np.ndarray, n_fft: int = 1024, hop: int = 512) -> np.ndarray:
    window = np.hanning(n_fft + 1)[:-1]  # periodic
    n_frames = 1 + (audio.size - n_fft) // hop
    frames = np.stack([audio[i * hop : i * hop + n_fft] * window for i in range(n_frames)])
    return np.abs(np.fft.rfft(frames)).T


@pytest.mark.parametrize("n_samples", [1024, 1535, 1536, 16_000])
def test_magnitudes_equal_a_float64_fourier_transform(n_samples: int) -> None:
    audio = np.random.default_rng(0).standard_normal(n_samples)

    found = MagnitudeSpectrogram()(torch.from_numpy(audio).float()[None, None])[0, 0].numpy()

    np.testing.assert_allclose(found, reference_magnitude(audio), atol=ABSOLUTE)


def test_loud_hum_does_not_hide_a_quiet_tone() -> None:
    time_s = np.arange(16_000) / 16_000
    audio = 0.5 * np.sin(2 * np.pi * 50 * time_s) + 1e-4 * np.sin(2 * np.pi * 3000 * time_s)

    found = MagnitudeSpectrogram()(torch.from_numpy(audio).float()[None, None])[0, 0].numpy()

    tone_bin = round(3000 / 16_000 * 1024)
    np.testing.assert_allclose(found[tone_bin], reference_magnitude(audio)[tone_bin], rtol=5e-3)


def test_a_tone_lands_in_the_mel_band_around_it() -> None:
    time_s = torch.arange(16_000) / 16_000
    tone = torch.sin(2 * torch.pi * 2000 * time_s)[None, None]

    band = MagnitudeSpectrogram(n_mels=128)(tone)[0, 0].mean(1).argmax()

    filters = mel_filter_bank(128, 1024, 16_000, 200.0, 8_000.0, scale="htk", normalise="sum")
    centre_hz = (filters[band] * np.linspace(0, 8000, 513)).sum()
    assert abs(centre_hz - 2000) < 100
