"""Training of the BEATs branch: waveform mixup, then ArcFace over the joint classes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from edge_asd.errors import UsageError
from edge_asd_export.extractors.beats.architecture import FULL, MINI, Architecture
from edge_asd_export.extractors.beats.checkpoint import read_checkpoint
from edge_asd_export.extractors.beats.encoder import BeatsEncoder
from edge_asd_export.extractors.beats.fbank import SAMPLE_RATE_HZ, Fbank, n_frames
from edge_asd_export.extractors.beats.lora import add_low_rank, merge_low_rank
from edge_asd_export.extractors.beats.network import Beats
from edge_asd_export.extractors.beats.schedule import parameter_groups, warm_up_then_cosine
from edge_asd_export.nn.losses import ArcFace
from edge_asd_export.nn.mixup import mix_batch
from edge_asd_export.training.learner import (
    ClassifierSettings,
    Feature,
    Learner,
    Task,
    TrainableExtractor,
)

__all__ = ["BeatsLearner", "BeatsSettings"]

FROM_SCRATCH: dict[str, Architecture] = {"mini": MINI, "full": FULL}


# Published weights want a lower rate than random ones (ASDKit's recipe), lower still in the
# early layers; their eleventh of twelve layers describes machines best after fine-tuning.
FULL_SIZE: dict[str, Any] = {"layer": 11}
PUBLISHED: dict[str, Any] = {"learning_rate": 1e-4, "lr_decay": 0.8, **FULL_SIZE}


class BeatsSettings(ClassifierSettings):
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

    def completed(self) -> Self:
        """Return the settings with the sizes in the checkpoint file and its absolute path, if any.

        Raises
        ------
        UsageError
            When there is no such file.
        DataError
            When it is not one of BEATs.
        """
        if self.checkpoint is None:
            return self
        path = Path(self.checkpoint).expanduser().resolve()
        sizes = read_checkpoint(path).architecture
        return self.model_copy(update={"checkpoint": str(path), "published": sizes})


class BeatsLearner(Learner):
    """BEATs with attentive pooling, and the class centres that pull its embeddings.

    Raises
    ------
    UsageError
        When the task is not mono at 16 kHz and at least a patch long, or asks for a file or
        a layer that does not exist.
    DataError
        When the checkpoint file is not one of BEATs.
    """

    def __init__(self, task: Task, settings: BeatsSettings) -> None:
        backbone = _backbone(settings, is_new=task.is_new)
        _check(task, backbone.patch_size)
        encoder = BeatsEncoder(backbone, settings.embedding_dim)
        features = (Feature("fbank", "graph", Fbank()),)
        super().__init__(TrainableExtractor(task.n_samples, task.n_channels, features, encoder))
        self.head = ArcFace(settings.embedding_dim, task.n_classes, settings.scale, settings.margin)
        self.clip_norm = settings.clip_norm
        self._settings = settings
        self._n_classes = task.n_classes
        if settings.mode != "full":
            backbone.requires_grad_(False)
        if settings.mode == "lora":
            projections = [f"{name}_proj" for name in settings.lora_projections]
            add_low_rank(backbone, projections, settings.lora_rank, settings.lora_alpha)

    def forward(self, audio: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a batch."""
        mixed, soft_label = mix_batch(
            audio, label, self._n_classes, self._settings.mixup, generator
        )
        loss: Tensor = self.head(self.embed(mixed), soft_label)
        return loss

    def train(self, mode: bool = True) -> BeatsLearner:
        """Go to training; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self._settings.mode == "frozen":
            self.extractor.encoder.get_submodule("backbone").eval()
        return self

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW, slower for earlier layers."""
        s = self._settings
        groups = parameter_groups(
            self.named_parameters(), s.layer, s.learning_rate, s.lr_decay, s.weight_decay
        )
        return torch.optim.AdamW(groups, lr=s.learning_rate)

    def schedule(self, optimizer: torch.optim.Optimizer, n_steps: int) -> LRScheduler:
        """Linear warm-up, then half a cosine to zero."""
        return warm_up_then_cosine(optimizer, n_steps, self._settings.warm_up)

    def inference_extractor(self) -> TrainableExtractor:
        """The extractor; low-rank updates are merged into a copy."""
        if self._settings.mode != "lora":
            return self.extractor
        merged = copy.deepcopy(self.extractor)
        merge_low_rank(merged)
        return merged

    def centres(self) -> Tensor:
        """Class centres (n_classes, embedding_dim), rows of unit norm."""
        return self.head.centres


def _backbone(settings: BeatsSettings, *, is_new: bool) -> Beats:
    """Return the network up to the layer of the settings, with the weights to start from."""
    dropout, layer_drop = settings.dropout, settings.layer_drop
    if settings.checkpoint is not None and (is_new or settings.published is None):
        checkpoint = read_checkpoint(Path(settings.checkpoint).expanduser())
        return checkpoint.network(settings.layer, dropout=dropout, layer_drop=layer_drop)
    architecture = settings.published or FROM_SCRATCH[settings.architecture]
    if settings.layer > architecture.n_layers:
        raise UsageError(
            f"{settings.variant} has {architecture.n_layers} layers, found beats.layer = "
            f"{settings.layer}: choose one of them"
        )
    return Beats(architecture, settings.layer, dropout=dropout, layer_drop=layer_drop)


def _check(task: Task, patch_size: int) -> None:
    if task.sample_rate_hz != SAMPLE_RATE_HZ:
        raise UsageError(
            f"BEATs takes audio at {SAMPLE_RATE_HZ} Hz, found {task.sample_rate_hz} Hz: "
            "train it on recordings of that rate"
        )
    if task.n_channels != 1:
        raise UsageError(f"BEATs takes one channel, found a view of {task.n_channels}")
    if n_frames(task.n_samples) < patch_size:
        raise UsageError(
            f"BEATs needs {patch_size} frames, found {n_frames(task.n_samples)} in "
            f"{task.n_samples} samples: train it on longer clips"
        )
