"""BEATs' input: Kaldi's log-mel filter bank as one strided convolution and one product."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edge_asd.scoring.mel import mel_filter_bank

__all__ = ["N_MELS", "SAMPLE_RATE_HZ", "Fbank", "n_frames"]

SAMPLE_RATE_HZ = 16_000
N_MELS = 128
FRAME_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
N_FFT = 512
N_BINS = N_FFT // 2  # without Nyquist's, where every filter is zero
PRE_EMPHASIS = 0.97
WINDOW_POWER = 0.85  # of a Hann window: Kaldi's default, "povey"
FULL_SCALE = 32_768  # Kaldi counts in 16-bit steps
LOW_HZ, HIGH_HZ = 20.0, 8_000.0
FLOOR = 1.1920929e-07  # float32's epsilon: Kaldi's least energy
# Statistics of AudioSet in the published code, which divides by twice the deviation.
MEAN, DEVIATION = 15.41663, 6.55582


class Fbank(nn.Module):
    """Normalised log-mel energies of 25 ms frames, one every 10 ms, none padded.

    ``torchaudio.compliance.kaldi.fbank`` with 128 mel bands at 16 kHz, 25 and 10 ms, and
    its defaults otherwise, of audio times 32768. Removing the mean, pre-emphasis, window
    and Fourier transform are linear in a frame: their product, taken in float64, is the
    kernel of a convolution. The fourth band lies between two bins, holds none, and is
    constant.
    """

    kernel: Tensor
    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _kernel(), persistent=False)
        self.register_buffer("mel", _mel_filters(), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, 1, n_samples) in [-1, 1] to (B, n_frames, 128)."""
        # Every frame loses its mean anyway; without a common offset float32 loses nothing else.
        centred = audio - audio.mean(2, keepdim=True)
        parts = nn.functional.conv1d(centred, self.kernel, stride=HOP_SAMPLES)
        real, imag = parts.chunk(2, dim=1)  # (B, N_BINS, n_frames) each
        power = real.square() + imag.square()
        energy = torch.matmul(power.transpose(1, 2), self.mel)  # (B, n_frames, N_MELS)
        return (energy.clamp(min=FLOOR).log() - MEAN) / (2 * DEVIATION)


def n_frames(n_samples: int) -> int:
    """Number of whole frames in so many samples."""
    return max(0, 1 + (n_samples - FRAME_SAMPLES) // HOP_SAMPLES)


def _kernel() -> Tensor:
    """Linear part of the analysis (2 N_BINS, 1, FRAME_SAMPLES): real parts, then imaginary."""
    identity = torch.eye(FRAME_SAMPLES, dtype=torch.float64)
    centred = identity - 1 / FRAME_SAMPLES
    # Row by row what came before; the first sample is its own predecessor.
    previous = torch.cat([identity[:1], identity[:-1]])
    emphasised = identity - PRE_EMPHASIS * previous
    sample = torch.arange(FRAME_SAMPLES, dtype=torch.float64)
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi * sample / (FRAME_SAMPLES - 1))
    angle = 2 * math.pi / N_FFT * torch.outer(torch.arange(N_BINS, dtype=torch.float64), sample)
    fourier = torch.cat([angle.cos(), -angle.sin()]) * hann**WINDOW_POWER
    return (FULL_SCALE * fourier @ emphasised @ centred).float()[:, None]


def _mel_filters() -> Tensor:
    """Triangles over the bins (N_BINS, N_MELS), linear in mel as Kaldi draws them."""
    filters = mel_filter_bank(
        N_MELS, N_FFT, SAMPLE_RATE_HZ, LOW_HZ, HIGH_HZ,
        scale="htk", normalise="peak", linear_in_mel=True,
    )  # fmt: skip
    return torch.from_numpy(filters[:, :N_BINS].T.copy())
