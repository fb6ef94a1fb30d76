"""Streams and detectors for tests that need neither a file nor a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap, Source
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import WindowDetector


class WeightedSum:
    """A detector whose score changes when a window is shifted by a single sample."""

    machine = "fake"

    def __init__(self, window_samples: int, sample_rate_hz: int = 16000) -> None:
        self.window_samples = window_samples
        self.sample_rate_hz = sample_rate_hz

    def score(self, audio: NDArray[np.float32]) -> WindowScore:
        assert audio.shape == (2, self.window_samples)
        weights = np.linspace(0.1, 1.0, self.window_samples)
        near, far = np.abs(audio.astype(np.float64)) @ weights / weights.sum()
        return WindowScore(float(near - 0.5 * far), {"near": float(near), "far": float(far)})


class Level:
    """A detector whose score is the mean of the window's first channel."""

    machine = "fake"
    sample_rate_hz = 100

    def __init__(self, window_samples: int) -> None:
        self.window_samples = window_samples

    def score(self, audio: NDArray[np.float32]) -> WindowScore:
        mean = float(audio[0].mean())
        return WindowScore(mean, {"near": mean})


def noise(n_samples: int, seed: int = 0) -> NDArray[np.float32]:
    """White noise (2, n_samples) within [-1, 1]."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (2, n_samples)).astype(np.float32)


def sliced_scores(
    detector: WindowDetector, audio: NDArray[np.float32], hop_samples: int
) -> list[tuple[int, WindowScore]]:
    """Start and score of every full window of a whole recording, without any streaming."""
    length = detector.window_samples
    starts = range(0, audio.shape[1] - length + 1, hop_samples)
    return [(start, detector.score(audio[:, start : start + length])) for start in starts]


def cut(audio: NDArray[np.float32], lengths: Sequence[int]) -> Iterator[Block]:
    """Blocks of these lengths over and over, until the audio is used up."""
    position = 0
    while position < audio.shape[1]:
        for length in lengths:
            yield Block(position, audio[:, position : position + length])
            position = min(position + length, audio.shape[1])


def joined(items: Iterable[Block | Gap]) -> NDArray[np.float32]:
    """All audio of a stream, (2, n)."""
    blocks = [item.audio for item in items if isinstance(item, Block)]
    return np.concatenate([np.empty((2, 0), np.float32), *blocks], axis=1)


def everything(source: Source) -> Iterator[Block | Gap]:
    """What a source hands on until its end."""
    while (item := source.read()) is not None:
        yield item


class MadeSource:
    """A source that is always there, made of blocks and gaps."""

    name = "test"
    state = "healthy"
    backlog_s = 0.0
    drift_ppm = None
    reopened = 0

    def __init__(self, items: Iterable[Block | Gap], sample_rate_hz: int = 100) -> None:
        self._items = iter(items)
        self.sample_rate_hz = sample_rate_hz
        self.source_rate_hz: int | None = sample_rate_hz

    def read(self) -> Block | Gap | None:
        return next(self._items, None)

    def close(self) -> None:
        """Nothing to close."""
