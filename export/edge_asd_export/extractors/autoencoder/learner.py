"""Training of the autoencoder: squared error, then the covariance of what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from edge_asd.errors import DataError
from edge_asd_export.extractors.autoencoder.network import N_FRAMES, Autoencoder
from edge_asd_export.extractors.autoencoder.vector_set import VectorSet, read_vectors
from edge_asd_export.extractors.autoencoder.whitening import domain_whitening
from edge_asd_export.nn.front_ends import HOP_LENGTH, N_MELS, LogMel
from edge_asd_export.training.learner import Feature, FitSettings, Learner, Task, TrainableExtractor
from edge_asd_export.training.training_set import Item, OnItem, ignore

__all__ = ["AutoencoderLearner", "AutoencoderSettings"]

SMALLEST_POWER = 2.22e-16  # the baseline's: the machine epsilon of float64


class AutoencoderSettings(FitSettings):
    """Settings of the autoencoder's training, by default those of the challenge's baseline."""

    epochs: Annotated[int, Field(gt=0)] = 100
    batch_size: Annotated[int, Field(gt=1)] = 256  # frame vectors, not clips
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    validation_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # of the frame vectors


class AutoencoderLearner(Learner):
    """The network of one machine. Its items are frame vectors: no audio, no classes."""

    def __init__(self, task: Task, settings: AutoencoderSettings) -> None:
        shortest = (N_FRAMES - 1) * HOP_LENGTH
        if task.n_samples < shortest:
            raise DataError(
                f"the autoencoder needs clips of at least {shortest} samples, "
                f"these have {task.n_samples}: train it on longer ones"
            )
        log_mel = LogMel(sample_rate_hz=task.sample_rate_hz, amin=SMALLEST_POWER, top_db=None)
        feature = Feature("frames", "graph", log_mel)
        super().__init__(
            TrainableExtractor(task.n_samples, task.n_channels, (feature,), Autoencoder(N_MELS))
        )
        self._settings = settings
        self._sets: tuple[VectorSet, VectorSet] | None = None  # training, validation

    def dataset(self, items: Sequence[Item], seed: int, on_item: OnItem = ignore) -> VectorSet:
        """Frame vectors of all clips but those kept for validation, which the seed chooses."""
        self._sets = self._read(items, seed, on_item)
        return self._sets[0]

    def forward(self, audio: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean squared error of a batch.

        Parameters
        ----------
        audio : (B, N_FRAMES * n_mels) frame vectors
        """
        return functional.mse_loss(self._network.reconstruct(audio), audio)

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam at a constant rate."""
        # Plain Adam takes a third of a step of so small a network on a CPU; fused, a tenth.
        return torch.optim.Adam(
            self.extractor.encoder.parameters(), lr=self._settings.learning_rate, fused=True
        )

    def finish(self, items: Sequence[Item]) -> None:
        """Take the covariances of the training vectors' residuals."""
        training, _ = self._sets or self._read(items, seed=0)
        self._network.whitening.copy_(domain_whitening(self._residuals(training), N_MELS))

    def inference_extractor(self) -> TrainableExtractor:
        """Return the extractor without normalisations: they are part of the layers."""
        return self.extractor.with_encoder(self._network.folded())

    def log_figures(self) -> dict[str, float]:
        """Mean squared error of the validation vectors; nothing before there are any."""
        if self._sets is None:
            return {}
        validation = self._sets[1]
        total = sum(
            residuals.square().mean(dim=1).sum().item()
            for residuals, _ in self._residuals(validation)
        )
        return {"validation_loss": total / len(validation)}

    @property
    def _network(self) -> Autoencoder:
        return cast(Autoencoder, self.extractor.encoder)

    def _read(
        self, items: Sequence[Item], seed: int, on_item: OnItem = ignore
    ) -> tuple[VectorSet, VectorSet]:
        vectors = read_vectors(items, self._frames, on_item)
        return vectors.split(self._settings.validation_fraction, seed)

    def _frames(self, audio: Tensor) -> Tensor:
        (frames,) = self.extractor.features(audio.to(self._device))
        return frames

    @property
    def _device(self) -> torch.device:
        return self._network.whitening.device

    @torch.no_grad()
    def _residuals(self, vectors: VectorSet) -> Iterator[tuple[Tensor, Tensor]]:
        """Residuals in evaluation mode, on the CPU, and whether they are of the target."""
        was_training = self.training
        self.eval()
        for batch, is_target in vectors.batches(self._settings.batch_size):
            on_device = batch.to(self._device)
            yield (on_device - self._network.reconstruct(on_device)).cpu(), is_target
        self.train(was_training)
