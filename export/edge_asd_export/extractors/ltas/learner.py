"""Training of the spectrum networks: mixup of statistics, then sub-cluster AdaCos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from edge_asd.errors import DataError
from edge_asd_export.data.folds import N_FOLDS
from edge_asd_export.extractors.ltas.network import Ltas, SpectrumStatistics
from edge_asd_export.extractors.ltas.statistics_set import StatisticsSet, read_statistics
from edge_asd_export.nn.front_ends import N_FFT
from edge_asd_export.nn.losses import SubclusterAdaCos
from edge_asd_export.nn.mixup import MixupKind, mix_batch, n_label_columns
from edge_asd_export.training.learner import (
    ClassifierSettings,
    Feature,
    Learner,
    Task,
    TrainableExtractor,
)
from edge_asd_export.training.training_set import Item, OnItem, ignore

__all__ = ["LtasLearner", "LtasSettings"]


class LtasSettings(ClassifierSettings):
    """Settings of the spectrum networks, their loss and their training."""

    epochs: Annotated[int, Field(gt=0)] = 24
    batch_size: Annotated[int, Field(gt=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    n_subclusters: Annotated[int, Field(gt=0)] = 16  # per class
    mixup: MixupKind = "plain"

    enough_classes_warps: ClassVar[tuple[float, ...]] = (0.92, 1.09)


class LtasLearner(Learner):
    """Five members; each learns from all items but those of the fold of its number.

    Its items are statistics, computed once: no audio.
    """

    n_threads = 1  # a step of so small networks takes ten milliseconds

    def __init__(self, task: Task, settings: LtasSettings) -> None:
        if task.n_samples < N_FFT:
            raise DataError(
                f"ltas needs clips of at least {N_FFT} samples, "
                f"these have {task.n_samples}: train it on longer ones"
            )
        feature = Feature("statistics", "graph", SpectrumStatistics())
        network = Ltas(members=N_FOLDS)
        super().__init__(TrainableExtractor(task.n_samples, task.n_channels, (feature,), network))
        n_columns = n_label_columns(settings.mixup, task.n_classes)
        self.heads = nn.ModuleList(
            SubclusterAdaCos(network.embedding_dim, n_columns, settings.n_subclusters)
            for _ in range(N_FOLDS)
        )
        self._settings = settings
        self._n_classes = task.n_classes

    def dataset(self, items: Sequence[Item], seed: int, on_item: OnItem = ignore) -> StatisticsSet:
        """Statistics of all items, by which the input is standardised."""
        found = read_statistics(items, self._statistics, self.extractor.n_samples, on_item)
        self._network.standardise_by(found.statistics)
        return found

    def forward(self, audio: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the sum of the members' mean losses: each learns as it would alone.

        Parameters
        ----------
        audio : (B, N_STATISTICS, N_BINS) statistics
        label : (B, 2) class number and fold
        """
        losses = [self._loss(i, audio, label, generator) for i in range(N_FOLDS)]
        return torch.stack(losses).sum()

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam at a constant rate."""
        # Plain Adam takes most of a step of so small networks on a CPU.
        return torch.optim.Adam(
            self.extractor.encoder.parameters(),
            lr=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
            fused=True,
        )

    def inference_extractor(self) -> TrainableExtractor:
        """Return the extractor without normalisations: they are part of the layers."""
        return self.extractor.with_encoder(self._network.folded())

    def log_figures(self) -> dict[str, float]:
        """Scale of the adaptive cosine logits, mean over members."""
        scales = [cast(SubclusterAdaCos, head).scale for head in self.heads]
        return {"scale": torch.stack(scales).mean().item()}

    @property
    def _network(self) -> Ltas:
        return cast(Ltas, self.extractor.encoder)

    def _statistics(self, audio: Tensor) -> Tensor:
        (statistics,) = self.extractor.features(audio.to(self._network.mean.device))
        return statistics

    def _loss(
        self, member: int, statistics: Tensor, label: Tensor, generator: torch.Generator
    ) -> Tensor:
        own = label[:, 1] != member
        if own.sum() < 2:  # too few for batch normalisation
            parameters = self._network.networks[member].parameters()
            return 0 * torch.stack([parameter.sum() for parameter in parameters]).sum()
        mixed, soft_label = mix_batch(
            statistics[own], label[own, 0], self._n_classes, self._settings.mixup, generator
        )
        loss: Tensor = self.heads[member](self._network.embed(member, mixed), soft_label)
        return loss
