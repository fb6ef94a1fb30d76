"""What every section of a profile is made of: strict models, and types with their ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Bytes", "Port", "Positive", "PositiveSeconds", "Seconds", "Settings", "TopicPrefix"]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveSeconds = Positive
Port = Annotated[int, Field(ge=0, le=65535)]
Bytes = Annotated[int, Field(ge=0)]
# Part of a topic or of a file name: nothing that MQTT or a path gives a meaning.
TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]


class Settings(BaseModel):
    """One section; unknown keys and values of another type are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
