"""What the settings of every training have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FitSettings", "Settings"]


class Settings(BaseModel):
    """A frozen record; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FitSettings(Settings):
    """How long and how fast a network is trained; each extractor has its own defaults."""

    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=1)]
    learning_rate: Annotated[float, Field(gt=0)]
