"""Mixup of waveforms: two clips played at once, two labels shared out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["MixupKind", "mix_batch", "n_label_columns"]

MixupKind = Literal["split", "plain", "none"]


def n_label_columns(kind: MixupKind, n_classes: int) -> int:
    """Width of the soft labels: ``split`` gives mixed clips classes of their own."""
    return 2 * n_classes if kind == "split" else n_classes


def mix_batch(
    audio: Tensor, label: Tensor, n_classes: int, kind: MixupKind, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """WeightedSum each clip with its partner in the reversed batch.

    Parameters
    ----------
    audio : (B, n_channels, n_samples) float32
    label : (B,) class numbers
    kind : ``plain`` mixes every clip with a weight from U(0, 1). ``split`` mixes half of
        them with a weight from U(0, 0.5), labels those in a second set of classes, and
        smooths the labels of the others by up to a half (FKIE DCASE 2023 code).

    Returns
    -------
    audio : (B, n_channels, n_samples) float32
    label : (B, n_label_columns) float32, rows sum to one
    """
    one_hot = functional.one_hot(label, n_classes).float()
    if kind == "none":
        return audio, one_hot
    draws = torch.rand(3, len(audio), generator=generator).to(audio.device)
    weight = draws[0] if kind == "plain" else draws[0] / 2
    mixed = weight[:, None, None] * audio + (1 - weight)[:, None, None] * audio.flip(0)
    mixed_label = weight[:, None] * one_hot + (1 - weight)[:, None] * one_hot.flip(0)
    if kind == "plain":
        return mixed, mixed_label
    is_mixed = draws[1] < 0.5
    smoothing = draws[2, :, None] / 2
    smooth_label = (1 - smoothing) * one_hot + smoothing / n_classes
    zeros = torch.zeros_like(one_hot)
    return (
        torch.where(is_mixed[:, None, None], mixed, audio),
        torch.where(
            is_mixed[:, None],
            torch.cat([zeros, mixed_label], dim=1),
            torch.cat([smooth_label, zeros], dim=1),
        ),
    )
