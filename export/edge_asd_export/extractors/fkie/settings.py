"""Settings of the FKIE network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge_asd_export.nn.mixup import MixupKind
from edge_asd_export.training.settings import FitSettings

__all__ = ["FkieSettings"]


class FkieSettings(FitSettings):
    """Settings of the FKIE network, its loss and its training."""

    epochs: Annotated[int, Field(gt=0)] = 20
    batch_size: Annotated[int, Field(gt=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    l2: Annotated[float, Field(ge=0)] = 1e-5  # Keras' convention: loss += l2 * sum(kernel^2)
    input: Literal["linear", "mel"] = "linear"  # of the spectrogram branch
    n_mels: Annotated[int, Field(gt=0)] = 128  # when input is mel
    n_subclusters: Annotated[int, Field(gt=0)] = 16  # per class
    mixup: MixupKind = "plain"
