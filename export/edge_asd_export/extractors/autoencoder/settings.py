"""Settings of the autoencoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_asd_export.training.settings import FitSettings

__all__ = ["AutoencoderSettings"]


class AutoencoderSettings(FitSettings):
    """Settings of the autoencoder's training, by default those of the challenge's baseline."""

    epochs: Annotated[int, Field(gt=0)] = 100
    batch_size: Annotated[int, Field(gt=1)] = 256  # frame vectors, not clips
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    validation_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # of the frame vectors
