"""Front-ends as torch modules: training uses them as they are, export writes them out.

They stay float32 for ever; the quantization boundary is the file boundary between a
front-end graph and an encoder graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edge_asd.scoring.mel import mel_filter_bank

__all__ = ["MagnitudeSpectrogram", "windowed_dft"]

# The band edges that the FKIE code passes to its (unused) mel layer.
F_MIN_HZ, F_MAX_HZ = 200.0, 8_000.0


class MagnitudeSpectrogram(nn.Module):
    """Short-time magnitude spectra, linear or mel, by one strided convolution.

    The windowed DFT is linear, so sine and cosine kernels of a convolution compute it;
    ONNX Runtime runs that faster than its STFT operator. Periodic Hann window, frames
    start at sample 0 and never reach past the end (no centre padding), no logarithm.

    Parameters
    ----------
    n_fft, hop_length : samples
    n_mels : number of mel bands of unit sum, so that the output stays a mean magnitude on the
        scale of the linear bins; None for all ``n_fft // 2 + 1`` linear bins
    sample_rate_hz : of the audio; only the mel bands depend on it
    """

    kernel: Tensor
    mel: Tensor | None

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int | None = None,
        sample_rate_hz: int = 16_000,
    ) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.register_buffer("kernel", windowed_dft(n_fft), persistent=False)
        mel = None
        if n_mels is not None:
            filters = mel_filter_bank(
                n_mels, n_fft, sample_rate_hz, F_MIN_HZ, F_MAX_HZ, scale="htk", normalise="sum"
            )
            mel = torch.from_numpy(filters)
        self.register_buffer("mel", mel, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, 1, n_samples) to magnitudes (B, 1, n_bins, n_frames)."""
        parts = nn.functional.conv1d(audio, self.kernel, stride=self.hop_length)
        real, imag = parts.chunk(2, dim=1)  # (B, n_bins, n_frames) each
        magnitude = (real.square() + imag.square()).sqrt()
        bands = magnitude if self.mel is None else torch.matmul(self.mel, magnitude)
        return bands[:, None]


def windowed_dft(n_fft: int) -> Tensor:
    """Convolution kernel (2 n_bins, 1, n_fft) of a Hann-windowed DFT: real parts, then imaginary.

    ``n_bins = n_fft // 2 + 1``; the window is periodic.
    """
    sample = torch.arange(n_fft, dtype=torch.float64)
    frequency = torch.arange(n_fft // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * torch.outer(frequency, sample) / n_fft
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * sample / n_fft)
    kernel = torch.cat([angle.cos() * window, -angle.sin() * window]).float()
    return kernel[:, None, :]
