"""Training of the ResNet: windows of spectrograms, mixup and masks, then ArcFace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, StepLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edge_asd.bundle.extractor_spec import SegmentSpec
from edge_asd_export.extractors.resnet.augment import mask_bands, mask_frames, mix, random_windows
from edge_asd_export.extractors.resnet.network import Normalise, NormalisedLogMel, Resnet
from edge_asd_export.nn.front_ends import HOP_LENGTH
from edge_asd_export.nn.losses import ArcFace
from edge_asd_export.training.learner import (
    ClassifierSettings,
    Feature,
    Learner,
    Task,
    TrainableExtractor,
)

__all__ = ["ResnetLearner", "ResnetSettings"]


class ResnetSettings(ClassifierSettings):
    """Settings of the ResNet, its input, its loss and its training."""

    epochs: Annotated[int, Field(gt=0)] = 40  # of 19 steps each with 300 clips, 625 with 10,000
    batch_size: Annotated[int, Field(gt=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3  # in the first epoch
    learning_rate_decay: Annotated[float, Field(gt=0, le=1)] = 0.99  # factor per epoch
    width: Annotated[int, Field(gt=0)] = 128  # channels of the first stages; 64 costs a quarter
    stage_3_kernels: tuple[Literal[1, 3], Literal[1, 3]] = (3, 3)  # each 1 narrows what is seen
    embedding_dim: Annotated[int, Field(gt=0)] | None = None  # None: 4 * width, no linear layer
    normalise: Normalise = "channel"  # joint: one scale for both channels, levels stay comparable
    crop_frames: Annotated[int, Field(ge=32)] = 256  # of a window, in training and after
    window_hop_frames: Annotated[int, Field(gt=0)] = 1  # between the windows of a score
    mixup: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of the clips mixed with another
    time_mask_frames: Annotated[int, Field(ge=0)] = 32  # widest mask; 0: none
    frequency_mask_bands: Annotated[int, Field(ge=0, le=128)] = 16  # widest mask; 0: none
    # Per optimiser step: 0.99 averages over about the last 100 steps. That is five epochs of
    # 300 clips in batches of 16, and a sixth of an epoch of 10,000 clips.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    arcface_scale: Annotated[float, Field(gt=0)] = 30.0
    arcface_margin: Annotated[float, Field(ge=0, lt=1.5)] = 0.5  # radians


class ResnetLearner(Learner):
    """The network, its classes, and the moving average of both, which is exported.

    The statistics of the batch normalisation are averaged like the weights: those of the
    last steps alone would belong to other weights.
    """

    def __init__(self, task: Task, settings: ResnetSettings) -> None:
        frontend = NormalisedLogMel(task.sample_rate_hz, settings.normalise)
        network = Resnet(
            task.n_channels, settings.width, settings.stage_3_kernels, settings.embedding_dim
        )
        # Shorter clips are tiled: one window always fits.
        n_samples = max(task.n_samples, (settings.crop_frames - 1) * HOP_LENGTH)
        super().__init__(
            TrainableExtractor(
                n_samples,
                task.n_channels,
                (Feature("log_mel", "graph", frontend),),
                network,
                SegmentSpec(n_frames=settings.crop_frames, hop_frames=settings.window_hop_frames),
            )
        )
        self.head = ArcFace(
            network.embedding_dim, task.n_classes, settings.arcface_scale, settings.arcface_margin
        )
        self.average = AveragedModel(
            self._averaged(), multi_avg_fn=_moving_average(settings.ema_decay), use_buffers=True
        ).requires_grad_(False)
        self._settings = settings
        self._n_classes = task.n_classes

    def forward(self, audio: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a batch, one random window of each clip."""
        s = self._settings
        (log_mel,) = self.extractor.features(audio)
        window = random_windows(log_mel, s.crop_frames, generator)
        one_hot = functional.one_hot(label, self._n_classes).float()
        window, soft_label = mix(window, one_hot, s.mixup, generator)
        window = mask_frames(window, s.time_mask_frames, generator)
        window = mask_bands(window, s.frequency_mask_bands, generator)
        loss: Tensor = self.head(self.encode(window), soft_label)
        return loss

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam over the network and the class centres."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=self._settings.learning_rate)

    def schedule(self, optimizer: torch.optim.Optimizer, n_steps: int) -> LRScheduler:
        """Lower the rate by the same factor after every epoch."""
        steps_per_epoch = max(n_steps // self._settings.epochs, 1)
        return StepLR(optimizer, steps_per_epoch, self._settings.learning_rate_decay)

    def after_step(self) -> None:
        """Move the average on."""
        self.average.update_parameters(self._averaged())

    def inference_extractor(self) -> TrainableExtractor:
        """Return the extractor with averaged weights."""
        return self.extractor.with_encoder(self.average.module.get_submodule("encoder"))

    def centres(self) -> Tensor:
        """Averaged class centres (n_classes, dim), rows of unit norm."""
        return cast(ArcFace, self.average.module.get_submodule("head")).centres

    def _averaged(self) -> nn.ModuleDict:
        return nn.ModuleDict({"encoder": self.extractor.encoder, "head": self.head})


def _moving_average(
    decay: float,
) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average that forgets its first, untrained weights sooner."""

    def update(
        average: Sequence[Tensor], current: Sequence[Tensor], n_updates: Tensor | int
    ) -> None:
        n = int(n_updates)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(average, current, n_updates)

    return update
