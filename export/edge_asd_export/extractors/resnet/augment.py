"""What a training window goes through: a random cut, mixup, masks.

Everything is drawn on the CPU, so that a run is a function of its seed on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mask_bands", "mask_frames", "mix", "random_windows"]


def random_windows(spectrogram: Tensor, n_frames: int, generator: torch.Generator) -> Tensor:
    """Return one window (B, C, n_mels, n_frames) of each clip (B, C, n_mels, any more)."""
    windows = spectrogram.unfold(3, n_frames, 1)  # (B, C, n_mels, n_windows, n_frames), a view
    n_clips = len(spectrogram)
    start = torch.randint(windows.shape[3], (n_clips,), generator=generator)
    clip = torch.arange(n_clips)
    return windows[clip.to(spectrogram.device), :, :, start.to(spectrogram.device)]


def mix(
    spectrogram: Tensor, label: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """WeightedSum some clips with their partners in the reversed batch, and their labels likewise.

    Parameters
    ----------
    spectrogram : (B, C, n_mels, n_frames)
    label : (B, n_classes) float32, rows sum to one
    share : probability that a clip is mixed; its own weight is then from U(0, 1)
    """
    draws = torch.rand(2, len(label), generator=generator)
    weight = torch.where(draws[0] < share, draws[1], 1.0).to(spectrogram.device)
    mixed = torch.lerp(spectrogram.flip(0), spectrogram, weight[:, None, None, None])
    return mixed, torch.lerp(label.flip(0), label, weight[:, None])


def mask_frames(spectrogram: Tensor, widest: int, generator: torch.Generator) -> Tensor:
    """Blot out up to `widest` neighbouring frames of each clip, at a random place."""
    return _fill(spectrogram, _stripe(spectrogram, 3, widest, generator)[:, None, None, :])


def mask_bands(spectrogram: Tensor, widest: int, generator: torch.Generator) -> Tensor:
    """Blot out up to `widest` neighbouring bands of each clip, at a random place."""
    return _fill(spectrogram, _stripe(spectrogram, 2, widest, generator)[:, None, :, None])


def _stripe(spectrogram: Tensor, axis: int, widest: int, generator: torch.Generator) -> Tensor:
    """Which positions (B, n) of an axis are masked."""
    n_clips, length = spectrogram.shape[0], spectrogram.shape[axis]
    width = torch.randint(min(widest, length) + 1, (n_clips, 1), generator=generator)
    start = torch.rand((n_clips, 1), generator=generator) * (length - width + 1)
    offset = torch.arange(length) - start.long()
    return ((offset >= 0) & (offset < width)).to(spectrogram.device)


def _fill(spectrogram: Tensor, is_masked: Tensor) -> Tensor:
    """Put a channel's mean where the mask is: 0 dB would be a loud place."""
    mean = spectrogram.mean(dim=(2, 3), keepdim=True)
    return torch.where(is_masked, mean, spectrogram)
