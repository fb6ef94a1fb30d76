"""Audio to embeddings on the device: front-end graphs, then the encoder graph."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.scoring.graph import run

if TYPE_CHECKING:
    import onnxruntime as ort

    from edge_asd.bundle.manifest import ExtractorSpec, SegmentSpec

__all__ = ["Extractor", "Timings", "cut_segments", "fit_length", "magnitude_spectrum", "timed"]

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
                run(self._frontends[feature.name], {"audio": audio})
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
        batches = [
            {name: feature[start : start + MAX_BATCH] for name, feature in features.items()}
            for start in range(0, n, MAX_BATCH)
        ]
        return np.concatenate([run(self._encoder, batch) for batch in batches])

    def __call__(
        self, audio: NDArray[np.float32], timings: Timings | None = None, name: str = ""
    ) -> NDArray[np.float32]:
        """Embeddings (B, n_segments, embedding_dim) of windows (B, n_channels, n_samples).

        Windows of another length are tiled or cut to the network's input first. `timings`
        gets the seconds under ``<name> features`` and ``<name> encoder``.
        """
        with timed(timings, f"{name} features"):
            features = self.features(fit_length(audio, self.spec.n_samples))
        with timed(timings, f"{name} encoder"):
            embeddings = self.encode(features)
        return embeddings.reshape(len(audio), -1, self.spec.embedding_dim)


@contextmanager
def timed(timings: Timings | None, stage: str) -> Iterator[None]:
    """Keep the seconds that a stage takes, if anyone wants them."""
    start = time.perf_counter()
    yield
    if timings is not None:
        timings[stage] = time.perf_counter() - start


def magnitude_spectrum(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitudes of the real FFT of each row, DC up to just below Nyquist.

    The one feature that is not an ONNX graph: a real FFT of 10^5 and more points has no good
    ONNX form, so this numpy call is the definition for training and device alike.

    Parameters
    ----------
    audio : (..., n_samples) float32 in [-1, 1]

    Returns
    -------
    (..., n_samples // 2) float32, neither scaled nor compressed. The FFT branch of the
    FKIE network takes exactly this (Wilkinghoff, DCASE 2023 Challenge Task 2).
    """
    n_bins = audio.shape[-1] // 2
    return np.abs(np.fft.rfft(audio, axis=-1)[..., :n_bins]).astype(np.float32, copy=False)


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
