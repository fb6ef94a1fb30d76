"""Statistics of a window's spectrum over time, and an ensemble of networks that embed them."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from edge_asd_export.nn.front_ends import N_FFT, MagnitudeSpectrogram

__all__ = ["N_BINS", "N_STATISTICS", "Ltas", "SpectrumStatistics"]

N_BINS = N_FFT // 2 + 1
N_STATISTICS = 3  # of each bin
N_HIDDEN = 256
EMBEDDING_DIM = 128  # of each member
POWER_FLOOR = 1e-11  # below the noise of 16 bits, whose bins hold 3e-8
DEVIATION_FLOOR = 1e-3  # natural logarithms; a bin that is the same everywhere is not blown up


class SpectrumStatistics(nn.Module):
    """How loud each frequency bin is over a window, and how much that varies.

    Three statistics of the power in each bin over all frames: the logarithm of its mean, the
    mean of its logarithm, and the standard deviation of its logarithm (natural ones). The first
    two are taken relative to their mean over bins, so that gain changes nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.magnitude = MagnitudeSpectrogram()

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, 1, n_samples) to statistics (B, N_STATISTICS, N_BINS)."""
        power = self.magnitude(audio)[:, 0].square()  # (B, N_BINS, n_frames)
        level = (power + POWER_FLOOR).log()
        loudness = (power.mean(dim=2) + POWER_FLOOR).log()  # (B, N_BINS)
        mean = level.mean(dim=2)
        deviation = (level - mean[:, :, None]).square().mean(dim=2).sqrt()
        relative = [value - value.mean(dim=1, keepdim=True) for value in (loudness, mean)]
        return torch.stack([*relative, deviation], dim=1)


class Ltas(nn.Module):
    """Statistics of the spectrum in, one embedding of each member out.

    The members are networks of one hidden layer. They share nothing but the standardisation of
    their input, so that each can be trained on clips of its own.

    Attributes
    ----------
    mean, deviation : (N_STATISTICS * N_BINS,) float32, of the training items
    """

    mean: Tensor
    deviation: Tensor
    embedding_dim = EMBEDDING_DIM

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members
        self.register_buffer("mean", torch.zeros(N_STATISTICS * N_BINS))
        self.register_buffer("deviation", torch.ones(N_STATISTICS * N_BINS))
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(N_STATISTICS * N_BINS, N_HIDDEN, bias=False),
                nn.BatchNorm1d(N_HIDDEN),
                nn.ReLU(),
                nn.Linear(N_HIDDEN, EMBEDDING_DIM, bias=False),
            )
            for _ in range(members)
        )

    def standardise_by(self, statistics: Tensor) -> None:
        """Take mean and deviation from those of training items (n, N_STATISTICS, N_BINS)."""
        rows = statistics.flatten(1)
        self.mean.copy_(rows.mean(dim=0))
        self.deviation.copy_(rows.std(dim=0, correction=0) + DEVIATION_FLOOR)

    def embed(self, member: int, statistics: Tensor) -> Tensor:
        """Map statistics (B, N_STATISTICS, N_BINS) to a member's embeddings (B, EMBEDDING_DIM)."""
        standardised = (statistics.flatten(1) - self.mean) / self.deviation
        embedding: Tensor = self.networks[member](standardised)
        return embedding

    def forward(self, statistics: Tensor) -> Tensor:
        """Map (B, N_STATISTICS, N_BINS) to embeddings (B, members, EMBEDDING_DIM)."""
        return torch.stack([self.embed(i, statistics) for i in range(self.members)], dim=1)

    def folded(self) -> Ltas:
        """Return the same function with each normalisation folded into the layer before it."""
        folded = copy.deepcopy(self).eval()
        for network in folded.networks:
            layers = cast(nn.Sequential, network)
            hidden, norm = cast(nn.Linear, layers[0]), cast(nn.BatchNorm1d, layers.pop(1))
            layers[0] = fuse_linear_bn_eval(hidden, norm)
        return folded
