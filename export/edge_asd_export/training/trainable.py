"""Trainable extractors: features by front-ends, then an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edge_asd.bundle.extractor_spec import SegmentSpec
from edge_asd.scoring.extractor import magnitude_spectrum

__all__ = ["Feature", "TrainableExtractor"]


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
        return int(self.encoder.embedding_dim)  # type: ignore[arg-type]

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
