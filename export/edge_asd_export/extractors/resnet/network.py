"""A ResNet whose units see a small patch of the spectrogram only, and its log-mel input.

The CP-ResNet of Primus, Haunschmid, Praher and Widmer, "Anomalous sound detection as a
simple binary classification problem with careful selection of proxy outlier examples",
DCASE 2020, after Koutini et al., "Receptive-field-regularized CNN variants for acoustic
scene classification", DCASE 2019. With its defaults a unit sees 103 x 103 bins, and there
are 16 bins from one unit to the next. The original's 1x1 convolution to a logit gives way
to an embedding.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_asd_export.nn.front_ends import LogMel

__all__ = ["Normalise", "NormalisedLogMel", "ResidualBlock", "Resnet"]

Normalise = Literal["channel", "joint"]

STD_FLOOR = 2.0**-16  # half a step of 16-bit audio; less is silence, and stays silence


class Resnet(nn.Module):
    """Spectrograms (B, n_channels, n_mels, n_frames) in, embeddings (B, dim) out.

    Parameters
    ----------
    n_channels : of the spectrogram
    width : channels of the first three stages; then come twice and four times as many
    stage_3_kernels : second kernel of the two blocks of the third stage (the paper's a
        and b), which set how far a unit sees
    embedding_dim : None for the 4 * `width` averages themselves, without a linear layer
    """

    def __init__(
        self,
        n_channels: int = 2,
        width: int = 128,
        stage_3_kernels: tuple[int, int] = (3, 3),
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        a, b = stage_3_kernels
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, width, 5, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(width, width, 3, 1),
            nn.MaxPool2d(2),
            ResidualBlock(width, width, 3, 3),
            nn.MaxPool2d(2),
            ResidualBlock(width, width, 3, a),
            ResidualBlock(width, width, 3, b),
            nn.MaxPool2d(2),
            ResidualBlock(width, 2 * width, 1, 1),
            ResidualBlock(2 * width, 4 * width, 1, 1),
            ResidualBlock(4 * width, 4 * width, 1, 1),
        )
        self.embed = nn.Identity() if embedding_dim is None else nn.Linear(4 * width, embedding_dim)
        self.embedding_dim = embedding_dim or 4 * width
        self._initialise()

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = self.blocks(self.stem(spectrogram))  # (B, 4 width, n_mels / 16, n_frames / 16)
        embedding: Tensor = self.embed(x.mean(dim=(2, 3)))
        return embedding

    @torch.no_grad()
    def _initialise(self) -> None:
        """Kaiming's, then as Fixup has it: every block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        blocks = [module for module in self.blocks if isinstance(module, ResidualBlock)]
        for block in blocks:
            block.conv_1.weight.mul_(len(blocks) ** -0.5)
            block.conv_2.weight.zero_()


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which has weights only where the width changes."""

    def __init__(self, c_in: int, c_out: int, kernel_1: int, kernel_2: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out, kernel_1, padding=kernel_1 // 3, bias=False)
        self.norm_1 = nn.BatchNorm2d(c_out)
        self.conv_2 = nn.Conv2d(c_out, c_out, kernel_2, padding=kernel_2 // 3, bias=False)
        self.norm_2 = nn.BatchNorm2d(c_out)
        self.shortcut = nn.Sequential()
        if c_in != c_out:
            self.shortcut.append(nn.Conv2d(c_in, c_out, 1, bias=False))
            self.shortcut.append(nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        residual = functional.relu(self.norm_1(self.conv_1(x)))
        return functional.relu(self.norm_2(self.conv_2(residual)) + self.shortcut(x))


class NormalisedLogMel(nn.Module):
    """Zero mean and unit variance, then log-mel spectra in dB, 80 dB deep.

    Parameters
    ----------
    sample_rate_hz : of the audio
    normalise : ``channel`` treats each channel for itself. ``joint`` has one mean and one
        scale for all of them, so that the level of near against far remains to be seen.
    """

    def __init__(self, sample_rate_hz: int, normalise: Normalise) -> None:
        super().__init__()
        self.log_mel = LogMel(sample_rate_hz=sample_rate_hz)
        self.axes = (2,) if normalise == "channel" else (1, 2)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, C, n_samples) to dB (B, C, 128, 1 + n_samples // 512)."""
        centred = audio - audio.mean(self.axes, keepdim=True)
        std = centred.square().mean(self.axes, keepdim=True).sqrt()
        level_db: Tensor = self.log_mel(centred / std.clamp(min=STD_FLOOR))
        return level_db
