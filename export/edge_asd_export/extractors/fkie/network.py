"""The FKIE network: a whole-clip spectrum branch beside a spectrogram branch.

Architecture of Wilkinghoff's DCASE 2023 Task 2 system ("Design choices for learning
embeddings from auxiliary tasks for domain generalization in anomalous sound
detection", ICASSP 2023, and the challenge report of that year). No layer has a bias.
Block A of the public code normalises the shortcut instead of the residual; here it
follows the regular form of blocks B to D.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Fkie", "SpectrogramBranch", "SpectrumBranch"]

EMBEDDING_DIM = 128  # of each branch
SPECTRUM_CONVS = ((1, 256, 64), (128, 64, 32), (128, 16, 4))  # channels in, kernel, stride
# Keras' epsilon, as in the original. Its momentum of 0.99 needs thousands of steps to
# forget the initial statistics; 0.9 (0.1 in torch's convention) needs tens.
BN_EPS = 1e-3
BN_MOMENTUM = 0.1


class Fkie(nn.Module):
    """Spectrogram and whole-clip spectrum in, 256-d embedding out.

    Parameters
    ----------
    n_samples : fixed length of the audio behind the two inputs
    n_bins : frequency bins or mel bands of the spectrogram
    """

    def __init__(self, n_samples: int, n_bins: int) -> None:
        super().__init__()
        self.spectrum_branch = SpectrumBranch(n_samples // 2)
        self.spectrogram_branch = SpectrogramBranch(n_bins)
        self.embedding_dim = 2 * EMBEDDING_DIM
        self.apply(_init_like_keras)

    def forward(self, spectrogram: Tensor, spectrum: Tensor) -> Tensor:
        """Map (B, 1, n_bins, n_frames) and (B, 1, n_samples // 2) to (B, 256)."""
        return torch.cat(
            [self.spectrum_branch(spectrum), self.spectrogram_branch(spectrogram)], dim=1
        )


class SpectrumBranch(nn.Module):
    """Magnitude spectrum of the whole clip (B, 1, n_bins) -> (B, 128)."""

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(c_in, 128, kernel, stride, bias=False)
            for c_in, kernel, stride in SPECTRUM_CONVS
        )
        n_out = n_bins
        for _, _, stride in SPECTRUM_CONVS:
            n_out = -(-n_out // stride)
        self.dense = nn.Sequential()
        for n_in in (128 * n_out, 128, 128, 128):
            self.dense.append(nn.Linear(n_in, 128, bias=False))
            self.dense.append(nn.BatchNorm1d(128, BN_EPS, BN_MOMENTUM))
            self.dense.append(nn.ReLU())
        self.dense.append(nn.Linear(128, EMBEDDING_DIM, bias=False))

    def forward(self, spectrum: Tensor) -> Tensor:
        x = spectrum
        for conv, (_, kernel, stride) in zip(self.convs, SPECTRUM_CONVS, strict=True):
            padded = _pad_same(x, (kernel,), (stride,))
            x = functional.relu(conv(padded))  # (B, 128, ceil(n / stride))
        embedding: Tensor = self.dense(x.flatten(1))
        return embedding


class SpectrogramBranch(nn.Module):
    """Magnitude spectrogram (B, 1, n_bins, n_frames) -> (B, 128)."""

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm1d(n_bins, BN_EPS, BN_MOMENTUM)  # one gain per frequency
        self.stem = nn.Conv2d(1, 16, 7, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(16, BN_EPS, BN_MOMENTUM)
        self.blocks = nn.Sequential(
            _Block(16, 16, stride=1), _Block(16, 32), _Block(32, 64), _Block(64, 128)
        )
        n_freq = (-(-n_bins // 2) - 3) // 2 + 1
        for _ in range(3):
            n_freq = -(-n_freq // 2)
        self.output_norm = nn.BatchNorm1d(128 * n_freq, BN_EPS, BN_MOMENTUM)
        self.embed = nn.Linear(128 * n_freq, EMBEDDING_DIM, bias=False)

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = spectrogram[:, 0]
        x = x - x.mean(dim=2, keepdim=True)
        x = self.input_norm(x)[:, None]  # (B, 1, n_bins, n_frames)
        x = self.stem(_pad_same(x, self.stem.kernel_size, self.stem.stride))
        x = functional.max_pool2d(functional.relu(self.stem_norm(x)), 3, 2)
        x = self.blocks(x)  # (B, 128, n_freq, n_time)
        x = x.amax(dim=3).flatten(1)  # maximum over time
        return self.embed(self.output_norm(x))


class _Block(nn.Module):
    """Two pre-activation residual units; the first may halve time and frequency."""

    def __init__(self, c_in: int, c_out: int, stride: int = 2) -> None:
        super().__init__()
        self.first = _Residual(c_in, c_out, stride)
        self.second = _Residual(c_out, c_out, 1)
        self.stride = stride
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        x, residual = self.first(x)
        if self.shortcut is not None:
            pooled = functional.max_pool2d(x, 2, 2, ceil_mode=True)
            x = self.shortcut(pooled)
        x, residual_2 = self.second(x + residual)
        return x + residual_2


class _Residual(nn.Module):
    """Normalised input and its residual: conv, norm, ReLU, conv."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(c_in, BN_EPS, BN_MOMENTUM)
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, bias=False)
        self.inner_norm = nn.BatchNorm2d(c_out, BN_EPS, BN_MOMENTUM)
        self.inner_conv = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(x)
        residual = self.conv(_pad_same(functional.relu(x), self.conv.kernel_size, self.conv.stride))
        return x, self.inner_conv(functional.relu(self.inner_norm(residual)))


def _pad_same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zero-pad the trailing axes as TensorFlow's 'same': the odd sample goes to the end."""
    padding: list[int] = []
    lengths = [int(n) for n in x.shape[2:]]  # plain numbers: constants when traced for export
    for n, k, s in zip(reversed(lengths), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding)


def _init_like_keras(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
