"""What is heard and scored within one minute, gathered without a disk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge_asd.history.score_counts import bucket_of

__all__ = ["MINUTE_S", "Minute", "minute_of"]

MINUTE_S = 60


def minute_of(time: datetime) -> int:
    """Return when the minute of a time begins, in seconds since 1970."""
    return math.floor(time.timestamp()) // MINUTE_S * MINUTE_S


@dataclass(slots=True)
class Minute:
    """One minute, or what there was of it; for one thread.

    Attributes
    ----------
    start : seconds since 1970, UTC
    heard_s, deaf_s : of running, while the monitor could be trusted to hear, and while not
    scores : windows by bucket of their score
    branches : sum of the scores, by branch
    threshold, condition : the last ones
    sound_s : length of the sound that `energy` and `peak` are of
    energy : (2,) of near and far, mean square times seconds
    peak : (2,) largest square of a sample
    band_energy : (2, N_BANDS) sum over windows of the mean square in each band; None: no window
    spectra : number of windows in `band_energy`
    states, faults : seconds in each state, and with each fault
    events : durable ones, by kind
    """

    start: int
    heard_s: float = 0.0
    deaf_s: float = 0.0
    windows: int = 0
    skipped: int = 0
    scores: Counter[int] = field(default_factory=Counter)
    score_sum: float = 0.0
    score_min: float = math.inf
    score_max: float = -math.inf
    branches: dict[str, tuple[int, float]] = field(default_factory=dict)
    threshold: float | None = None
    condition: float | None = None
    sound_s: float = 0.0
    energy: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    peak: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    band_energy: NDArray[np.float64] | None = None
    spectra: int = 0
    states: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    @property
    def empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.heard_s or self.deaf_s or self.windows or self.skipped or self.events)

    def hear(self, audio: NDArray[np.float32], sample_rate_hz: int) -> None:
        """Take sound (2, n), whether it can be scored or not."""
        if not audio.shape[1] or not np.isfinite(audio).all():
            return
        squares = np.square(audio, dtype=np.float64)
        self.sound_s += audio.shape[1] / sample_rate_hz
        self.energy += squares.sum(axis=1) / sample_rate_hz
        self.peak = np.maximum(self.peak, squares.max(axis=1))

    def score(
        self, score: float, branches: Mapping[str, float], power: NDArray[np.float32]
    ) -> None:
        """Take a scored window, the scores of its branches and its power (2, N_BANDS)."""
        self.windows += 1
        self.scores[bucket_of(score)] += 1
        self.score_sum += score
        self.score_min = min(self.score_min, score)
        self.score_max = max(self.score_max, score)
        for name, value in branches.items():
            if not math.isfinite(value):
                continue
            n, total = self.branches.get(name, (0, 0.0))
            self.branches[name] = n + 1, total + value
        if np.isfinite(power).all():  # else samples far beyond full scale
            energy = power.astype(np.float64)
            self.band_energy = energy if self.band_energy is None else self.band_energy + energy
            self.spectra += 1

    def pass_time(self, seconds: float, state: str, faults: Iterable[str], *, deaf: bool) -> None:
        """Let so much of it pass in a state of the machine, with faults of the monitor."""
        if seconds <= 0:
            return
        if deaf:
            self.deaf_s += seconds
        else:
            self.heard_s += seconds
        self.states[state] += seconds  # type: ignore[assignment]  # a Counter of seconds
        for fault in faults:
            self.faults[fault] += seconds  # type: ignore[assignment]
