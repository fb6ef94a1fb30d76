"""Every hyper-parameter of a training run, typed, in one record."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_asd_export.mixup import MixupKind

__all__ = ["FkieConfig", "TrainConfig"]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FkieConfig(_Config):
    """Settings of the FKIE network and its loss."""

    input: Literal["linear", "mel"] = "linear"  # of the spectrogram branch
    n_mels: Annotated[int, Field(gt=0)] = 128  # when input is mel
    n_subclusters: Annotated[int, Field(gt=0)] = 16  # per class
    mixup: MixupKind = "plain"


class TrainConfig(_Config):
    """Settings of one run; written into the run folder as JSON."""

    system: str = "system4"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    epochs: Annotated[int, Field(gt=0)] = 20
    batch_size: Annotated[int, Field(gt=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    l2: Annotated[float, Field(ge=0)] = 1e-5  # Keras' convention: loss += l2 * sum(kernel^2)
    view_classes: bool = True  # near and far clips of one class become two classes
    clip_s: Annotated[float, Field(gt=0)] | None = None  # None: the longest machine's clips
    fkie: FkieConfig = FkieConfig()
