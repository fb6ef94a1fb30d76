"""From one two-channel window to one score: every branch, then the fusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.view import VIEWS
from edge_asd.bundle.manifest import Domain, MachineSpec
from edge_asd.bundle.system import Branch
from edge_asd.errors import AudioError
from edge_asd.scoring.extractor import Extractor, Timings, timed
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.scorer import BankScorer, Neighbour, Scorer

__all__ = ["Detector", "WindowScore", "embed"]


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The score of a window and of each branch; higher is more anomalous."""

    score: float
    branches: dict[str, float]


class Detector:
    """Scores the windows of one machine.

    Parameters
    ----------
    extractors : by the name that branches call them
    scorers : of each branch, by ``extractor@view``
    """

    def __init__(
        self,
        *,
        machine: str,
        spec: MachineSpec,
        sample_rate_hz: int,
        hop_s: float,
        extractors: Mapping[str, Extractor],
        scorers: Mapping[str, Scorer],
    ) -> None:
        self.machine = machine
        self.spec = spec
        self.sample_rate_hz = sample_rate_hz
        self.window_samples = spec.window_samples
        self.hop_s = hop_s
        self._extractors = extractors
        self._scorers = scorers
        self._branches = tuple(map(Branch.parse, scorers))

    @property
    def views(self) -> frozenset[str]:
        """Names of the views that its branches look at."""
        return frozenset(branch.view for branch in self._branches)

    def embeddings(
        self, audio: NDArray[np.float32], timings: Timings | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Embeddings (n_segments, dim) of each branch for one window (2, window_samples).

        Raises
        ------
        AudioError
            When the window has another shape, or samples that are not finite.
        """
        if audio.shape != (2, self.window_samples):
            raise AudioError(
                f"a window of {self.machine!r} is (2, {self.window_samples}), found {audio.shape}"
            )
        if not np.isfinite(audio).all():
            raise AudioError("the window has samples that are not finite")
        return embed(audio, self._branches, self._extractors, timings)

    def score(self, audio: NDArray[np.float32], timings: Timings | None = None) -> WindowScore:
        """Score one window (2, window_samples) float32 in [-1, 1].

        Parameters
        ----------
        timings : gets the seconds of each stage: ``views``, ``<extractor> features``,
            ``<extractor> encoder``, ``scorer`` and ``fusion``
        """
        return self.score_embeddings(self.embeddings(audio, timings), timings)

    def score_embeddings(
        self, embeddings: Mapping[str, NDArray[np.float32]], timings: Timings | None = None
    ) -> WindowScore:
        """Score what :meth:`embeddings` gave for one window.

        Parameters
        ----------
        timings : gets the seconds of ``scorer`` and ``fusion``
        """
        with timed(timings, "scorer"):
            scores = {name: own.score(embeddings[name]) for name, own in self._scorers.items()}
        with timed(timings, "fusion"):
            fused = float(fuse(self.spec.fusion, scores))
        return WindowScore(fused, scores)

    def strange_score(self) -> float:
        """Return the highest score of three sounds of which a machine makes at most one.

        White noise, a tone of 1 kHz, and ten clicks a second, each a tenth as loud at far.
        """
        time_s = np.arange(self.window_samples) / self.sample_rate_hz
        noise = 0.1 * np.random.default_rng(0).standard_normal((2, self.window_samples))
        tone = 0.1 * np.sin(2 * np.pi * 1000 * time_s)
        clicks = np.where(time_s % 0.1 < 1 / self.sample_rate_hz, 0.5, 0.0)
        loudness = np.array([[1.0], [0.1]])
        sounds = [(loudness * sound).astype(np.float32) for sound in (noise, tone, clicks)]
        return max(self.score(sound).score for sound in sounds)

    def n_references(self, branch: str) -> dict[Domain, int]:
        """How many references a branch compares with; empty for one that has no banks."""
        scorer = self._scorers[branch]
        return scorer.sizes if isinstance(scorer, BankScorer) else {}

    def mean_distances(
        self, embeddings: Mapping[str, NDArray[np.float32]]
    ) -> dict[tuple[str, Domain], float]:
        """Mean normalised distance to all references, by branch and domain.

        Parameters
        ----------
        embeddings : of one window, from :meth:`embeddings`
        """
        return {
            (branch, domain): mean
            for branch, scorer in self._scorers.items()
            if isinstance(scorer, BankScorer)
            for domain, mean in scorer.mean_distances(embeddings[branch]).items()
        }

    def neighbours(self, branch: str, audio: NDArray[np.float32], k: int) -> tuple[Neighbour, ...]:
        """References of a branch nearest to a window (2, window_samples), the nearest first.

        The window is embedded once more. Empty for a branch that has no banks.

        Raises
        ------
        AudioError
            When the window has another shape, or samples that are not finite.
        """
        scorer = self._scorers[branch]
        if not isinstance(scorer, BankScorer):
            return ()
        return scorer.nearest(self.embeddings(audio)[branch], k)


def embed(
    audio: NDArray[np.float32],
    branches: Iterable[Branch],
    extractors: Mapping[str, Extractor],
    timings: Timings | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Embeddings (n_segments, dim) of each branch for one window (2, n_samples).

    Each view is computed once, and each extractor runs once, with the views of all its branches
    as one batch.

    Parameters
    ----------
    timings : gets the seconds of ``views``, ``<extractor> features`` and ``<extractor> encoder``
    """
    by_extractor: dict[str, list[Branch]] = {}
    for branch in branches:
        by_extractor.setdefault(branch.extractor, []).append(branch)
    used = {branch.view for own in by_extractor.values() for branch in own}
    with timed(timings, "views"):
        views = {name: VIEWS[name].apply(audio) for name in used}
    embeddings = {}
    for name, own in by_extractor.items():
        batch = np.stack([views[branch.view] for branch in own])  # (n_views, ...)
        rows = extractors[name](batch, timings, name)
        embeddings.update({branch.name: rows[i] for i, branch in enumerate(own)})
    return embeddings
