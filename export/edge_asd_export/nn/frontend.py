"""Front-ends as torch modules: training uses them as they are, export writes them out.

They stay float32 for ever; the quantization boundary is the file boundary between a
front-end graph and an encoder graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["MagnitudeSpectrogram", "mel_filter_bank", "windowed_dft"]


class MagnitudeSpectrogram(nn.Module):
    """Short-time magnitude spectra, linear or mel, by one strided convolution.

    The windowed DFT is linear, so sine and cosine kernels of a convolution compute it;
    ONNX Runtime runs that faster than its STFT operator. Periodic Hann window, frames
    start at sample 0 and never reach past the end (no centre padding), no logarithm.

    Parameters
    ----------
    n_fft, hop_length : samples
    n_mels : number of mel bands, or None for all ``n_fft // 2 + 1`` linear bins
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
        mel = None if n_mels is None else mel_filter_bank(n_mels, n_fft, sample_rate_hz)
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


def mel_filter_bank(
    n_mels: int,
    n_fft: int,
    sample_rate_hz: int,
    f_min_hz: float = 200.0,
    f_max_hz: float = 8_000.0,
) -> Tensor:
    """Triangular HTK mel filters (n_mels, n_fft // 2 + 1), each of unit sum.

    The band edges are those that the FKIE code passes to its (unused) mel layer. Unit
    sums keep the output a mean magnitude, on the scale of the linear bins; a band
    narrower than a bin takes the nearest bin, so that no band is empty.
    """

    def hz_to_mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    mels = torch.linspace(hz_to_mel(f_min_hz), hz_to_mel(f_max_hz), n_mels + 2, dtype=torch.float64)
    edges_hz = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins_hz = torch.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1, dtype=torch.float64)
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - lower) / (centre - lower)
    falling = (upper - bins_hz) / (upper - centre)
    weights = torch.minimum(rising, falling).clamp(min=0)
    nearest = nn.functional.one_hot((bins_hz - centre).abs().argmin(1), bins_hz.numel())
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, nearest.double())
    return (weights / weights.sum(1, keepdim=True)).float()
