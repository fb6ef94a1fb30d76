"""Audio to embedding on the device: front-end graphs, then the encoder graph."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.spectrum import magnitude_spectrum

if TYPE_CHECKING:
    import onnxruntime as ort

    from edge_asd.manifest import ExtractorSpec

__all__ = ["Extractor", "Timings", "fit_length"]

Timings = MutableMapping[str, float]  # seconds spent, by stage


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
        """Encoder inputs of windows (B, n_channels, n_samples), already of fixed length."""
        mono = np.ascontiguousarray(audio[:, 0])
        return {
            feature.name: (
                self._frontends[feature.name].run(None, {"audio": mono})[0]
                if feature.kind == "graph"
                else magnitude_spectrum(mono)
            )
            for feature in self.spec.features
        }

    def __call__(
        self, audio: NDArray[np.float32], timings: Timings | None = None
    ) -> NDArray[np.float32]:
        """Embeddings (B, embedding_dim) float32 of windows (B, n_channels, n_samples).

        Windows of another length are tiled or cut to the network's input first. When
        `timings` is given, seconds are added under ``features`` and ``encoder``.
        """
        start = time.perf_counter()
        features = self.features(fit_length(audio, self.spec.n_samples))
        middle = time.perf_counter()
        (embeddings,) = self._encoder.run(None, features)
        if timings is not None:
            end = time.perf_counter()
            timings["features"] = timings.get("features", 0.0) + middle - start
            timings["encoder"] = timings.get("encoder", 0.0) + end - middle
        result: NDArray[np.float32] = embeddings
        return result


def fit_length(audio: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """Tile or cut audio (..., any length) to exactly (..., n_samples), from its start.

    Returns the input itself when it already fits.
    """
    length = audio.shape[-1]
    if length >= n_samples:
        return audio[..., :n_samples]
    repeats = -(-n_samples // length)
    return np.concatenate([audio] * repeats, axis=-1)[..., :n_samples]
