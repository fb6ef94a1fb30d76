"""Settings of the ResNet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge_asd_export.training.settings import FitSettings

__all__ = ["Normalise", "ResnetSettings"]

Normalise = Literal["channel", "joint"]


class ResnetSettings(FitSettings):
    """Settings of the ResNet, its input, its loss and its training."""

    epochs: Annotated[int, Field(gt=0)] = 40  # of 19 steps each with 300 clips, 625 with 10,000
    batch_size: Annotated[int, Field(gt=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3  # in the first epoch
    learning_rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.99  # factor per epoch
    width: Annotated[int, Field(gt=0)] = 128  # channels of the first stages; 64 costs a quarter
    stage_3_kernels: tuple[Literal[1, 3], Literal[1, 3]] = (3, 3)  # each 1 narrows what is seen
    embedding_dim: Annotated[int, Field(gt=0)] | None = None  # None: 4 * width, no linear layer
    normalise: Normalise = "channel"  # joint: one scale for both channels, levels stay comparable
    crop_frames: Annotated[int, Field(ge=32)] = 256  # of a window, in training and after
    window_hop_frames: Annotated[int, Field(gt=0)] = 1  # between the windows of a score
    mixup: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of the clips mixed with another
    time_mask_frames: Annotated[int, Field(ge=0)] = 32  # widest mask; 0: none
    frequency_mask_bands: Annotated[int, Field(ge=0, le=128)] = 16  # widest mask; 0: none
    # Per optimiser step: 0.99 averages over about the last 100 steps. That is five epochs of
    # 300 clips in batches of 16, and a sixth of an epoch of 10,000 clips.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    arcface_scale: Annotated[float, Field(gt=0)] = 30.0
    arcface_margin: Annotated[float, Field(ge=0, lt=1.5)] = 0.5  # radians
