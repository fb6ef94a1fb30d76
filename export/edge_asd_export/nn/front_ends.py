"""Front-ends as torch modules: training uses them as they are, export writes them out.

They stay float32 for ever; the quantization boundary is the file boundary between a
front-end graph and an encoder graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_asd.scoring.mel import mel_filter_bank

__all__ = ["HOP_LENGTH", "N_FFT", "N_MELS", "LogMel", "MagnitudeSpectrogram"]

N_FFT = 1024  # samples
HOP_LENGTH = 512  # samples
N_MELS = 128
# The lower edge is what the FKIE code passes to its (unused) mel layer.
F_MIN_HZ, F_MAX_HZ = 200.0, 8_000.0


class MagnitudeSpectrogram(nn.Module):
    """Short-time magnitude spectra, linear or mel, by one strided convolution.

    The windowed DFT is linear, so sine and cosine kernels of a convolution compute it;
    ONNX Runtime runs that faster than its STFT operator. Periodic Hann window, frames
    start at sample 0 and never reach past the end (no centre padding), no logarithm.

    Parameters
    ----------
    n_mels : number of mel bands of unit sum, so that the output stays a mean magnitude on the
        scale of the linear bins; None for all ``N_FFT // 2 + 1`` linear bins
    sample_rate_hz : of the audio; only the mel bands depend on it
    """

    kernel: Tensor
    mel: Tensor | None

    def __init__(self, n_mels: int | None = None, sample_rate_hz: int = 16_000) -> None:
        super().__init__()
        self.register_buffer("kernel", _windowed_dft(), persistent=False)
        mel = None
        if n_mels is not None:
            filters = mel_filter_bank(
                n_mels, N_FFT, sample_rate_hz, F_MIN_HZ, F_MAX_HZ, scale="htk", normalise="sum"
            )
            mel = torch.from_numpy(filters)
        self.register_buffer("mel", mel, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, 1, n_samples) to magnitudes (B, 1, n_bins, n_frames)."""
        parts = nn.functional.conv1d(audio, self.kernel, stride=HOP_LENGTH)
        magnitude = _power(parts).sqrt()  # (B, n_bins, n_frames)
        bands = magnitude if self.mel is None else torch.matmul(self.mel, magnitude)
        return bands[:, None]


class LogMel(nn.Module):
    """Mel power spectrograms in dB, frames centred on every `HOP_LENGTH`-th sample.

    ``librosa.feature.melspectrogram`` (power 2, periodic Hann window, Slaney scale and
    area normalisation) and ``librosa.power_to_db`` (reference 1) of librosa 0.11. The
    floor of `top_db` hangs below the maximum of a whole clip, all its channels together:
    what librosa does with the array of a multi-channel file. `N_MELS` bands from 0 to 8 kHz;
    half a frame of zeros is added at either end.

    Parameters
    ----------
    sample_rate_hz : of the audio
    amin : power below which all is the same
    top_db : the quietest bin, in dB below the clip's loudest; None for no such floor
    """

    kernel: Tensor
    mel: Tensor

    def __init__(
        self, sample_rate_hz: int = 16_000, amin: float = 1e-10, top_db: float | None = 80.0
    ) -> None:
        super().__init__()
        self.amin = amin
        self.top_db = top_db
        # A leading axis of one more: the kernel slides over the channels, too.
        self.register_buffer("kernel", _windowed_dft()[:, None], persistent=False)
        mel = mel_filter_bank(
            N_MELS, N_FFT, sample_rate_hz, 0.0, F_MAX_HZ, scale="slaney", normalise="area"
        )
        self.register_buffer("mel", torch.from_numpy(mel), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, C, n_samples) to dB (B, C, N_MELS, 1 + n_samples // HOP_LENGTH)."""
        padded = functional.pad(audio, (N_FFT // 2, N_FFT // 2))[:, None]
        parts = functional.conv2d(padded, self.kernel, stride=(1, HOP_LENGTH))
        power = _power(parts).transpose(1, 2)  # (B, C, n_bins, n_frames)
        level_db = 10 * torch.matmul(self.mel, power).clamp(min=self.amin).log10()
        if self.top_db is None:
            return level_db
        floor_db = level_db.amax(dim=(1, 2, 3), keepdim=True) - self.top_db
        return torch.maximum(level_db, floor_db)


def _power(parts: Tensor) -> Tensor:
    """Squared magnitude of real parts, then imaginary ones, along the first axis of a clip."""
    real, imag = parts.chunk(2, dim=1)
    return real.square() + imag.square()


def _windowed_dft() -> Tensor:
    """Convolution kernel (2 n_bins, 1, N_FFT) of a Hann-windowed DFT: real parts, then imaginary.

    ``n_bins = N_FFT // 2 + 1``; the window is periodic.
    """
    sample = torch.arange(N_FFT, dtype=torch.float64)
    frequency = torch.arange(N_FFT // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * torch.outer(frequency, sample) / N_FFT
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * sample / N_FFT)
    kernel = torch.cat([angle.cos() * window, -angle.sin() * window]).float()
    return kernel[:, None, :]
