"""Trainable extractors: features by shipped front-ends, then an encoder.

``RECIPES`` maps the extractor names of :mod:`edge_asd.system` to constructors. A new
extractor is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edge_asd.errors import UsageError
from edge_asd.spectrum import magnitude_spectrum
from edge_asd_export.config import TrainConfig
from edge_asd_export.fkie import Fkie
from edge_asd_export.frontend import MagnitudeSpectrogram

__all__ = ["RECIPES", "Feature", "TrainableExtractor", "build_extractor"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the encoder; see :class:`edge_asd.manifest.FeatureSpec` for the kinds."""

    name: str
    kind: Literal["graph", "spectrum"]
    frontend: nn.Module | None = None


class TrainableExtractor(nn.Module):
    """Audio (B, n_channels, n_samples) -> embedding (B, dim).

    Only the encoder has parameters. Its ``forward`` takes the features in order.
    """

    def __init__(self, n_samples: int, features: tuple[Feature, ...], encoder: nn.Module) -> None:
        super().__init__()
        self.n_samples = n_samples
        self.feature_list = features
        self.frontends = nn.ModuleDict({f.name: f.frontend for f in features if f.frontend})
        # Convolutions of few channels run several times faster this way on a CPU.
        self.encoder: nn.Module = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def embedding_dim(self) -> int:
        return int(self.encoder.embedding_dim)  # type: ignore[arg-type]

    @torch.no_grad()
    def features(self, audio: Tensor) -> tuple[Tensor, ...]:
        """Compute the encoder's inputs from single-channel audio (B, 1, n_samples)."""
        mono = audio[:, 0]
        return tuple(
            self.frontends[feature.name](mono)
            if feature.kind == "graph"
            else torch.from_numpy(magnitude_spectrum(mono.cpu().numpy())).to(mono.device)
            for feature in self.feature_list
        )

    def forward(self, audio: Tensor) -> Tensor:
        embedding: Tensor = self.encoder(*self.features(audio))
        return embedding


def _fkie(n_samples: int, config: TrainConfig) -> TrainableExtractor:
    n_mels = config.fkie.n_mels if config.fkie.input == "mel" else None
    spectrogram = MagnitudeSpectrogram(n_mels=n_mels)
    n_bins = n_mels or 513
    features = (
        Feature("spectrogram", "graph", spectrogram),
        Feature("spectrum", "spectrum"),
    )
    return TrainableExtractor(n_samples, features, Fkie(n_samples, n_bins))


RECIPES: Mapping[str, Callable[[int, TrainConfig], TrainableExtractor]] = {"fkie": _fkie}


def build_extractor(name: str, n_samples: int, config: TrainConfig) -> TrainableExtractor:
    """Construct an untrained extractor.

    Raises
    ------
    UsageError
        When no recipe has this name.
    """
    try:
        recipe = RECIPES[name]
    except KeyError:
        known = ", ".join(RECIPES)
        raise UsageError(f"no recipe for extractor {name!r}; known extractors: {known}") from None
    return recipe(n_samples, config)
