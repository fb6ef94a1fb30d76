"""Every hyper-parameter of a training run, typed, in one record."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_asd_export.extractors.autoencoder.settings import AutoencoderSettings
from edge_asd_export.extractors.beats.settings import BeatsSettings
from edge_asd_export.extractors.fkie.settings import FkieSettings
from edge_asd_export.extractors.resnet.settings import ResnetSettings
from edge_asd_export.training.settings import Settings

__all__ = ["TrainConfig"]


class TrainConfig(Settings):
    """Settings of one run; written into the run folder as JSON."""

    systems: Annotated[tuple[str, ...], Field(min_length=1)] = ("system4",)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    view_classes: bool = True  # a class of clips becomes one class for each view
    clip_s: Annotated[float, Field(gt=0)] | None = None  # None: the longest machine's clips
    fkie: FkieSettings = FkieSettings()
    beats: BeatsSettings = BeatsSettings()
    resnet: ResnetSettings = ResnetSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()
