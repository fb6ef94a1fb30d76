"""What the records of the bundle contract have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Domain", "Finite", "Positive", "PositiveFloat", "Record"]

Domain = Literal["source", "target"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
