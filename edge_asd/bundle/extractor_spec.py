"""The part of the bundle contract that says how audio becomes embeddings.

:mod:`edge_asd.bundle.manifest` is the whole contract and holds these records, too.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_asd.bundle.limits import WINDOW_ELEMENTS
from edge_asd.bundle.record import Positive, Record

__all__ = ["EncoderSpec", "ExtractorSpec", "FeatureSpec", "SegmentSpec"]


class FeatureSpec(Record):
    """One input tensor of an encoder.

    ``graph``: a float32 ONNX front-end, audio (B, n_channels, n_samples) -> (B, *shape).
    ``spectrum``: magnitude of the real FFT of the whole window
    (:func:`edge_asd.scoring.extractor.magnitude_spectrum`), no file.
    """

    name: str  # name of the encoder's input
    kind: Literal["graph", "spectrum"]
    file: str | None = None
    # of one window, without the batch axis
    shape: Annotated[tuple[Positive, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _graph_has_a_file(self) -> Self:
        if (self.kind == "graph") != bool(self.file):
            raise ValueError(f"feature {self.name!r} of kind {self.kind!r} has file {self.file!r}")
        return self


class EncoderSpec(Record):
    """The graph that turns features into one embedding."""

    file: str
    precision: Literal["fp32", "int8"]
    opset: Annotated[int, Field(ge=1, le=1000)]


class SegmentSpec(Record):
    """The encoder sees overlapping segments of the features, cut along their last axis."""

    n_frames: Positive
    hop_frames: Positive

    def count(self, n_frames: int) -> int:
        """Return how many whole segments so many frames hold."""
        return max(0, 1 + (n_frames - self.n_frames) // self.hop_frames)


class ExtractorSpec(Record):
    """Audio to one embedding for each segment: features, then the encoder.

    An *ensemble* is an encoder of several networks, its members. It gives the embedding of each,
    (B, members, embedding_dim); each is compared with references of its own, and the score is the
    mean of theirs.
    """

    network: str  # what was trained: the extractor's name, or a variant of it
    n_samples: Positive  # fixed input length; shorter windows are tiled, longer ones cut
    n_channels: Annotated[int, Field(ge=1, le=2)]
    features: Annotated[tuple[FeatureSpec, ...], Field(min_length=1)]
    segments: SegmentSpec | None = None  # None: the whole window is one segment
    encoder: EncoderSpec
    embedding_dim: Annotated[int, Field(ge=1, le=65_536)]  # of each member
    members: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _features_fit(self) -> Self:
        if self.members > 1 and self.segments is not None:
            raise ValueError("an ensemble takes windows whole, not in segments")
        names = [feature.name for feature in self.features]
        if len(set(names)) < len(names):
            raise ValueError(f"features {names} need different names")
        self._require_small()
        spectrum = (self.n_channels, self.n_samples // 2)
        for feature in self.features:
            if feature.kind == "spectrum" and feature.shape != spectrum:
                raise ValueError(
                    f"spectrum {feature.name!r} is {feature.shape}, the audio gives {spectrum}"
                )
            if self.segments is not None and not self.segments.count(feature.shape[-1]):
                raise ValueError(
                    f"feature {feature.name!r} has {feature.shape[-1]} frames, "
                    f"a segment needs {self.segments.n_frames}"
                )
        if self.segments is not None:
            counts = [self.segments.count(feature.shape[-1]) for feature in self.features]
            if len(set(counts)) > 1:
                raise ValueError(f"features {names} have {counts} segments, expected equally many")
        return self

    def _require_small(self) -> None:
        """Refuse sizes that would take all memory for one window."""
        sizes = {"audio": math.prod(self.audio_shape), "embedding": math.prod(self.embedding_shape)}
        for feature in self.features:
            n_segments = self.segments.count(feature.shape[-1]) if self.segments else 1
            sizes[feature.name] = math.prod(feature.shape)
            sizes[f"{n_segments} segments of {feature.name}"] = n_segments * math.prod(
                self.encoder_shape(feature)
            )
        for what, size in sizes.items():
            if size > WINDOW_ELEMENTS:
                raise ValueError(f"{what}: {size} numbers, at most {WINDOW_ELEMENTS}")

    @property
    def audio_shape(self) -> tuple[int, int]:
        """Shape of what the front-ends take, without the batch axis."""
        return (self.n_channels, self.n_samples)

    @property
    def embedding_shape(self) -> tuple[int, ...]:
        """Shape of what the encoder gives, without the batch axis."""
        width = (self.embedding_dim,)
        return width if self.members == 1 else (self.members, *width)

    def encoder_shape(self, feature: FeatureSpec) -> tuple[int, ...]:
        """Shape of what the encoder takes of a feature, without the batch axis."""
        if self.segments is None:
            return feature.shape
        return (*feature.shape[:-1], self.segments.n_frames)
