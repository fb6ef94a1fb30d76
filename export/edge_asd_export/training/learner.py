"""A trainable extractor, and what a training needs to know of it: settings, loss, optimiser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from edge_asd.bundle.extractor_spec import SegmentSpec
from edge_asd.bundle.record import Record
from edge_asd.scoring.extractor import magnitude_spectrum
from edge_asd_export.training.training_set import (
    ClassName,
    EpochDataset,
    Item,
    OnItem,
    TrainingSet,
    ignore,
)

__all__ = ["ClassifierSettings", "Feature", "FitSettings", "Learner", "Task", "TrainableExtractor"]


class FitSettings(Record):
    """How long and how fast a network is trained; each extractor has its own defaults."""

    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=1)]
    learning_rate: Annotated[float, Field(gt=0)]

    @property
    def variant(self) -> str | None:
        """What the trained network is called in tables; None: by the extractor's name."""
        return None

    def completed(self) -> Self:
        """Return the settings of a new run, whose folder must depend on no other file."""
        return self


FEW_CLASSES = 5  # each machine of the development set alone has two to four
FEW_CLASSES_WARPS = (0.85, 0.92, 1.09, 1.18)

Warp = Annotated[float, Field(ge=0.5, le=2.0)]


class ClassifierSettings(FitSettings):
    """Settings of a network that learns to tell classes apart."""

    # Factors of all frequencies: copies that are classes of their own. auto: as many as help.
    warps: Literal["auto"] | tuple[Warp, ...] = "auto"

    enough_classes_warps: ClassVar[tuple[float, ...]] = ()

    @field_validator("warps")
    @classmethod
    def _change_something(cls, value: object) -> object:
        if isinstance(value, tuple) and (1.0 in value or len(set(value)) < len(value)):
            raise ValueError("factors must differ from 1 and from each other")
        return value

    def chosen_warps(self, n_classes: int) -> tuple[float, ...]:
        """Return the factors for clips of so many classes of machine, domain and attributes."""
        if self.warps != "auto":
            return self.warps
        return FEW_CLASSES_WARPS if n_classes < FEW_CLASSES else self.enough_classes_warps


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the encoder; see :class:`edge_asd.bundle.manifest.FeatureSpec` for the kinds."""

    name: str
    kind: Literal["graph", "spectrum"]
    frontend: nn.Module | None = None


class TrainableExtractor(nn.Module):
    """Audio (B, n_channels, n_samples) -> features -> embedding (B, dim).

    Only the encoder has parameters. Its ``forward`` takes the features in order.

    Parameters
    ----------
    segments : how the device cuts the features before it encodes them; a learner cuts as it
        likes. None: the encoder takes them whole.
    """

    def __init__(
        self,
        n_samples: int,
        n_channels: int,
        features: tuple[Feature, ...],
        encoder: nn.Module,
        segments: SegmentSpec | None = None,
    ) -> None:
        super().__init__()
        self.n_samples = n_samples
        self.n_channels = n_channels
        self.feature_list = features
        self.segments = segments
        self.frontends = nn.ModuleDict({f.name: f.frontend for f in features if f.frontend})
        # Convolutions of few channels run several times faster this way on a CPU.
        self.encoder: nn.Module = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def embedding_dim(self) -> int:
        """Of each member, where the encoder is an ensemble."""
        return int(self.encoder.embedding_dim)  # type: ignore[arg-type]

    @property
    def members(self) -> int:
        """Networks of an ensemble, which gives (B, members, dim); otherwise 1."""
        return int(getattr(self.encoder, "members", 1))

    def with_encoder(self, encoder: nn.Module) -> TrainableExtractor:
        """Return an extractor of the same features with another encoder."""
        return TrainableExtractor(
            self.n_samples, self.n_channels, self.feature_list, encoder, self.segments
        )

    @torch.no_grad()
    def features(self, audio: Tensor) -> tuple[Tensor, ...]:
        """Compute the encoder's inputs, not cut yet, from audio (B, n_channels, n_samples)."""
        return tuple(
            self.frontends[feature.name](audio)
            if feature.kind == "graph"
            else torch.from_numpy(magnitude_spectrum(audio.cpu().numpy())).to(audio.device)
            for feature in self.feature_list
        )


@dataclass(frozen=True, slots=True)
class Task:
    """What one network is trained on."""

    n_samples: int  # of the clips, of the longest machine's where there are several
    n_channels: int  # of the views
    sample_rate_hz: int
    classes: tuple[ClassName, ...]
    is_new: bool = True  # False: trained weights will be loaded, none are needed to start from

    @property
    def n_classes(self) -> int:
        return len(self.classes)


class Learner(nn.Module, ABC):
    """An extractor with the loss that trains it.

    ``forward`` is the loss of a batch, so that several processes can share the work
    through ``DistributedDataParallel``. Whatever a resumed training needs is in the state
    of the module, of the optimiser or of the schedule.
    """

    clip_norm: float | None = None  # largest norm of the gradient; None: any
    n_threads: int | None = None  # of the CPU in a step, where more only wait; None: as many as set

    def __init__(self, extractor: TrainableExtractor) -> None:
        super().__init__()
        self.extractor = extractor

    @abstractmethod
    def forward(self, audio: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Parameters
        ----------
        audio : (B, n_channels, n_samples) float32
        label : (B,) class numbers
        generator : on the CPU, for everything that is drawn
        """

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """Return a new optimiser of all that is trained."""

    def schedule(self, optimizer: torch.optim.Optimizer, n_steps: int) -> LRScheduler | None:
        """Return the learning-rate schedule over `n_steps` steps; None: the rate is constant."""
        return None

    def dataset(self, items: Sequence[Item], seed: int, on_item: OnItem = ignore) -> EpochDataset:
        """Return what a batch is made of: the two tensors that ``forward`` takes.

        Parameters
        ----------
        on_item : called where all items are read beforehand
        """
        return TrainingSet(items, self.extractor.n_samples, seed)

    def after_step(self) -> None:
        """Do what follows every step of the optimiser, such as averaging weights."""

    def finish(self, items: Sequence[Item]) -> None:
        """Do what follows the last epoch, such as statistics over the training clips."""

    def inference_extractor(self) -> TrainableExtractor:
        """Return the extractor that is exported."""
        return self.extractor

    def centres(self) -> Tensor | None:
        """Return the class centres (n_classes, dim), rows of unit norm; None: there are none."""
        return None

    def log_figures(self) -> dict[str, float]:
        """Return what else belongs into the log of an epoch."""
        return {}

    def embed(self, audio: Tensor) -> Tensor:
        """Return embeddings (B, dim) float32 of audio (B, n_channels, n_samples)."""
        return self.encode(*self.extractor.features(audio))

    def encode(self, *features: Tensor) -> Tensor:
        """Return embeddings (B, dim) float32 of the encoder's inputs; bfloat16 inside on CUDA."""
        kind = features[0].device.type
        # bfloat16 keeps float32's range, so no loss scaling is needed.
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            embedding: Tensor = self.extractor.encoder(*features)
        return embedding.float()
