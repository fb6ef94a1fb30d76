"""What the settings of every training have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_asd.bundle.record import Record

__all__ = ["FitSettings"]


class FitSettings(Record):
    """How long and how fast a network is trained; each extractor has its own defaults."""

    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=1)]
    learning_rate: Annotated[float, Field(gt=0)]
