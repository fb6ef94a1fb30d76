"""Settings of the BEATs branch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edge_asd_export.extractors.beats.architecture import MINI, Architecture
from edge_asd_export.training.settings import FitSettings

__all__ = ["BeatsSettings"]

# Published weights want a lower rate than random ones (ASDKit's recipe), lower still in the
# early layers; their eleventh of twelve layers describes machines best after fine-tuning.
FULL_SIZE: dict[str, Any] = {"layer": 11}
PUBLISHED: dict[str, Any] = {"learning_rate": 1e-4, "lr_decay": 0.8, **FULL_SIZE}


class BeatsSettings(FitSettings):
    """Settings of the network, of what is trained in it, and how.

    The defaults are those of `beats-mini`. With a checkpoint `learning_rate`, `lr_decay`
    and `layer` have others, which are filled in when the record is made.
    """

    epochs: Annotated[int, Field(gt=0)] = 20
    batch_size: Annotated[int, Field(gt=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4  # of the head, at its highest
    checkpoint: str | None = None  # published file to start from; None: random weights
    published: Architecture | None = None  # sizes in the checkpoint, filled in by the training
    architecture: Literal["mini", "full"] = "mini"  # without a checkpoint; full: to measure
    layer: Annotated[int, Field(gt=0)] = MINI.n_layers  # its tokens are pooled; 1 is the first
    mode: Literal["full", "lora", "frozen"] = "full"  # what is trained besides pooling and head
    lora_rank: Annotated[int, Field(gt=0)] = 64
    lora_alpha: Annotated[float, Field(gt=0)] = 8.0  # the product is scaled by alpha / rank
    lora_projections: tuple[Literal["q", "k", "v", "out"], ...] = ("q", "v")
    embedding_dim: Annotated[int, Field(gt=0)] = 256
    scale: Annotated[float, Field(gt=0)] = 30.0  # of ArcFace's cosines
    margin: Annotated[float, Field(ge=0, lt=1.57)] = 0.5  # of ArcFace, radians
    mixup: Literal["plain", "none"] = "plain"  # of waveforms
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    layer_drop: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of clips that skip a layer
    lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # rate of a layer to that of the next
    warm_up: Annotated[float, Field(ge=0, le=1)] = 0.1  # share of all steps; then a cosine to 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01  # AdamW's
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0  # of the gradient; None: any

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        if given.get("checkpoint") is not None:
            return {**PUBLISHED, **given}
        return {**FULL_SIZE, **given} if given.get("architecture") == "full" else given

    @property
    def variant(self) -> str:
        """Name for tables: ``beats``, or what was trained in its place."""
        if self.checkpoint is not None:
            return "beats"
        return "beats-mini" if self.architecture == "mini" else "beats-full-random"
