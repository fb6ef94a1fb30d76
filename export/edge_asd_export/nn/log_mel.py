"""Log-mel spectrograms as librosa defines them, as a graph that exports to plain ONNX."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_asd_export.nn.frontend import windowed_dft

__all__ = ["LogMel", "slaney_filter_bank"]

# Slaney's Auditory Toolbox: linear up to 1 kHz, then 27 steps to each factor of 6.4.
LINEAR_HZ_PER_MEL = 200 / 3
BREAK_HZ = 1_000.0
LOG_STEP = math.log(6.4) / 27


class LogMel(nn.Module):
    """Mel power spectrograms in dB, frames centred on every `hop_length`-th sample.

    ``librosa.feature.melspectrogram`` (power 2, periodic Hann window, Slaney scale and
    area normalisation) and ``librosa.power_to_db`` (reference 1) of librosa 0.11. The
    floor of `top_db` hangs below the maximum of a whole clip, all its channels together:
    what librosa does with the array of a multi-channel file.

    Parameters
    ----------
    n_fft, hop_length : samples
    n_mels : mel bands
    sample_rate_hz : of the audio
    f_min_hz, f_max_hz : outer edges of the first and the last band
    amin : power below which all is the same
    top_db : the quietest bin, in dB below the clip's loudest; None for no such floor
    pad : how half a frame is added at either end; librosa's default was ``reflect``
        before version 0.9
    """

    kernel: Tensor
    mel: Tensor

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int = 128,
        sample_rate_hz: int = 16_000,
        f_min_hz: float = 0.0,
        f_max_hz: float = 8_000.0,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        pad: Literal["constant", "reflect"] = "constant",
    ) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.padding = (n_fft // 2, n_fft // 2)
        self.pad = pad
        self.amin = amin
        self.top_db = top_db
        # A leading axis of one more: the kernel slides over the channels, too.
        self.register_buffer("kernel", windowed_dft(n_fft)[:, None], persistent=False)
        mel = slaney_filter_bank(n_mels, n_fft, sample_rate_hz, f_min_hz, f_max_hz)
        self.register_buffer("mel", mel, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, C, n_samples) to dB (B, C, n_mels, 1 + n_samples // hop_length)."""
        padded = functional.pad(audio, self.padding, mode=self.pad)[:, None]
        parts = functional.conv2d(padded, self.kernel, stride=(1, self.hop_length))
        real, imag = parts.chunk(2, dim=1)
        power = (real.square() + imag.square()).transpose(1, 2)  # (B, C, n_bins, n_frames)
        level_db = 10 * torch.matmul(self.mel, power).clamp(min=self.amin).log10()
        if self.top_db is None:
            return level_db
        floor_db = level_db.amax(dim=(1, 2, 3), keepdim=True) - self.top_db
        return torch.maximum(level_db, floor_db)


def slaney_filter_bank(
    n_mels: int, n_fft: int, sample_rate_hz: int, f_min_hz: float, f_max_hz: float
) -> Tensor:
    """Triangular filters (n_mels, n_fft // 2 + 1) of equal area, as ``librosa.filters.mel``."""
    mels = torch.linspace(_mel(f_min_hz), _mel(f_max_hz), n_mels + 2, dtype=torch.float64)
    linear_hz = LINEAR_HZ_PER_MEL * mels
    break_mel = BREAK_HZ / LINEAR_HZ_PER_MEL
    log_hz = BREAK_HZ * torch.exp(LOG_STEP * (mels - break_mel))
    edges_hz = torch.where(mels < break_mel, linear_hz, log_hz)
    bins_hz = torch.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1, dtype=torch.float64)
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - lower) / (centre - lower)
    falling = (upper - bins_hz) / (upper - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2 / (upper - lower)).float()


def _mel(frequency_hz: float) -> float:
    if frequency_hz < BREAK_HZ:
        return frequency_hz / LINEAR_HZ_PER_MEL
    return BREAK_HZ / LINEAR_HZ_PER_MEL + math.log(frequency_hz / BREAK_HZ) / LOG_STEP
