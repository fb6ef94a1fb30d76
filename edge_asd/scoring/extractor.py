"""Audio to embeddings on the device: front-end graphs, then the encoder graph."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.scoring.spectrum import magnitude_spectrum

if TYPE_CHECKING:
    import onnxruntime as ort

    from edge_asd.bundle.manifest import ExtractorSpec, SegmentSpec

__all__ = ["Extractor", "Timings", "cut_segments", "fit_length"]

Timings = MutableMapping[str, float]  # seconds spent, by stage

MAX_BATCH = 8  # encoder inputs at once: more need more memory and are no faster


class Extractor:
    """Runs one extractor's graphs.

    Parameters
    ----------
    spec : shapes and feature kinds, from the manifest
    frontends : one session per feature of kind ``graph``, by feature name
    encoder : session of the encoder graph
    """

    def __init__(
        self,
        spec: ExtractorSpec,
        frontends: dict[str, ort.InferenceSession],
        encoder: ort.InferenceSession,
    ) -> None:
        self.spec = spec
        self._frontends = frontends
        self._encoder = encoder

    def features(self, audio: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Encoder inputs (B * n_segments, ...) of windows (B, n_channels, n_samples) that fit."""
        audio = np.ascontiguousarray(audio)
        features = {
            feature.name: (
                self._frontends[feature.name].run(None, {"audio": audio})[0]
                if feature.kind == "graph"
                else magnitude_spectrum(audio)
            )
            for feature in self.spec.features
        }
        if self.spec.segments is None:
            return features
        return {name: cut_segments(f, self.spec.segments) for name, f in features.items()}

    def encode(self, features: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embeddings (n, embedding_dim) of encoder inputs (n, ...), a few at a time."""
        n = len(next(iter(features.values())))
        parts = [
            self._encoder.run(
                None, {name: f[start : start + MAX_BATCH] for name, f in features.items()}
            )[0]
            for start in range(0, n, MAX_BATCH)
        ]
        embeddings: NDArray[np.float32] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return embeddings

    def __call__(
        self, audio: NDArray[np.float32], timings: Timings | None = None
    ) -> NDArray[np.float32]:
        """Embeddings (B, n_segments, embedding_dim) of windows (B, n_channels, n_samples).

        Windows of another length are tiled or cut to the network's input first. `timings`
        gets the seconds under ``features`` and ``encoder``.
        """
        start = time.perf_counter()
        features = self.features(fit_length(audio, self.spec.n_samples))
        middle = time.perf_counter()
        embeddings = self.encode(features)
        if timings is not None:
            end = time.perf_counter()
            timings["features"] = middle - start
            timings["encoder"] = end - middle
        return embeddings.reshape(len(audio), -1, self.spec.embedding_dim)


def cut_segments(feature: NDArray[np.float32], segments: SegmentSpec) -> NDArray[np.float32]:
    """Cut (B, ..., n_frames) into (B * n_segments, ..., segments.n_frames), window by window.

    What is left of the frames after the last whole segment is not used.
    """
    views = np.lib.stride_tricks.sliding_window_view(feature, segments.n_frames, axis=-1)
    views = np.moveaxis(views[..., :: segments.hop_frames, :], -2, 1)
    return views.reshape(-1, *views.shape[2:])


def fit_length(audio: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """Tile or cut audio (..., any length) to exactly (..., n_samples), from its start.

    Returns the input itself when it already fits.
    """
    length = audio.shape[-1]
    if length >= n_samples:
        return audio[..., :n_samples]
    repeats = -(-n_samples // length)
    return np.concatenate([audio] * repeats, axis=-1)[..., :n_samples]
