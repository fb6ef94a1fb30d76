"""Training of the FKIE network: waveform mixup, then sub-cluster AdaCos."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from edge_asd_export.extractors.fkie.network import Fkie
from edge_asd_export.nn.front_ends import N_FFT, MagnitudeSpectrogram
from edge_asd_export.nn.losses import SubclusterAdaCos
from edge_asd_export.nn.mixup import MixupKind, mix_batch, n_label_columns
from edge_asd_export.training.learner import (
    ClassifierSettings,
    Feature,
    Learner,
    Task,
    TrainableExtractor,
)

__all__ = ["FkieLearner", "FkieSettings"]


class FkieSettings(ClassifierSettings):
    """Settings of the FKIE network, its loss and its training."""

    epochs: Annotated[int, Field(gt=0)] = 20
    batch_size: Annotated[int, Field(gt=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    l2: Annotated[float, Field(ge=0)] = 1e-5  # Keras' convention: loss += l2 * sum(kernel^2)
    input: Literal["linear", "mel"] = "linear"  # of the spectrogram branch
    n_mels: Annotated[int, Field(gt=0)] = 128  # when input is mel
    n_subclusters: Annotated[int, Field(gt=0)] = 16  # per class
    mixup: MixupKind = "plain"


class FkieLearner(Learner):
    """The network, and the classes that it learns to tell apart."""

    def __init__(self, task: Task, settings: FkieSettings) -> None:
        n_mels = settings.n_mels if settings.input == "mel" else None
        spectrogram = MagnitudeSpectrogram(n_mels=n_mels, sample_rate_hz=task.sample_rate_hz)
        features = (Feature("spectrogram", "graph", spectrogram), Feature("spectrum", "spectrum"))
        network = Fkie(task.n_samples, n_mels or N_FFT // 2 + 1)
        super().__init__(TrainableExtractor(task.n_samples, task.n_channels, features, network))
        self.head = SubclusterAdaCos(
            network.embedding_dim,
            n_label_columns(settings.mixup, task.n_classes),
            settings.n_subclusters,
        )
        self._settings = settings
        self._n_classes = task.n_classes

    def forward(self, audio: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a batch."""
        mixed, soft_label = mix_batch(
            audio, label, self._n_classes, self._settings.mixup, generator
        )
        loss: Tensor = self.head(self.embed(mixed), soft_label)
        return loss

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam with L2 on kernels only."""
        # Torch's decay multiplies the weight itself, Keras' l2 its square: hence the factor 2.
        parameters = list(self.extractor.encoder.parameters())
        return torch.optim.Adam(
            [
                {
                    "params": [p for p in parameters if p.ndim > 1],
                    "weight_decay": 2 * self._settings.l2,
                },
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self._settings.learning_rate,
        )

    def log_figures(self) -> dict[str, float]:
        """Scale of the adaptive cosine logits."""
        return {"scale": self.head.scale.item()}
