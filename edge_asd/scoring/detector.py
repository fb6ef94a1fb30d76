"""From one two-channel window to one score: every branch, then the fusion."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.view import VIEWS
from edge_asd.bundle.manifest import Domain, MachineSpec
from edge_asd.errors import AudioError
from edge_asd.scoring.extractor import Extractor, Timings
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.scorer import BankScorer, Neighbour, Scorer

__all__ = ["BranchScorer", "Detector", "WindowScore", "embed_views"]


@dataclass(frozen=True, slots=True)
class BranchScorer:
    """One branch: which extractor sees which view, and what judges its embeddings."""

    name: str
    extractor: str
    view: str
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The score of a window and of each branch; higher is more anomalous."""

    score: float
    branches: dict[str, float]


class Detector:
    """Scores the windows of one machine.

    Each extractor runs once per window, with all views that its branches need as one
    batch.
    """

    def __init__(
        self,
        *,
        machine: str,
        spec: MachineSpec,
        sample_rate_hz: int,
        hop_s: float,
        extractors: Mapping[str, Extractor],
        branches: tuple[BranchScorer, ...],
    ) -> None:
        self.machine = machine
        self.spec = spec
        self.sample_rate_hz = sample_rate_hz
        self.window_samples = spec.window_samples
        self.hop_s = hop_s
        self._extractors = extractors
        self._branches = branches

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
        views: dict[str, list[str]] = {}
        for branch in self._branches:
            views.setdefault(branch.extractor, []).append(branch.view)
        embeddings = {}
        for name, wanted in views.items():
            spent: dict[str, float] = {}
            rows = embed_views(self._extractors[name], audio, wanted, spent)
            embeddings.update({f"{name}@{view}": rows[view] for view in wanted})
            if timings is not None:
                timings.update({f"{name} {stage}": seconds for stage, seconds in spent.items()})
        return embeddings

    def score(self, audio: NDArray[np.float32], timings: Timings | None = None) -> WindowScore:
        """Score one window (2, window_samples) float32 in [-1, 1].

        Parameters
        ----------
        timings : gets the seconds of each stage: ``<extractor> features``,
            ``<extractor> encoder``, ``scorer`` and ``fusion``
        """
        return self.judge(self.embeddings(audio, timings), timings)

    def judge(
        self, embeddings: Mapping[str, NDArray[np.float32]], timings: Timings | None = None
    ) -> WindowScore:
        """Score what :meth:`embeddings` gave for one window.

        Parameters
        ----------
        timings : gets the seconds of ``scorer`` and ``fusion``
        """
        start = time.perf_counter()
        scores = {b.name: b.scorer.score(embeddings[b.name]) for b in self._branches}
        middle = time.perf_counter()
        fused = float(fuse(self.spec.fusion, scores))
        if timings is not None:
            end = time.perf_counter()
            timings["scorer"] = middle - start
            timings["fusion"] = end - middle
        return WindowScore(fused, scores)

    def n_references(self, branch: str) -> dict[Domain, int]:
        """How many references a branch compares with; empty for one that has no banks."""
        scorer = self._scorer(branch)
        return scorer.sizes if isinstance(scorer, BankScorer) else {}

    def neighbours(self, branch: str, audio: NDArray[np.float32], k: int) -> tuple[Neighbour, ...]:
        """References of a branch nearest to a window (2, window_samples), the nearest first.

        The window is embedded once more. Empty for a branch that has no banks.

        Raises
        ------
        AudioError
            When the window has another shape, or samples that are not finite.
        """
        scorer = self._scorer(branch)
        if not isinstance(scorer, BankScorer):
            return ()
        return scorer.nearest(self.embeddings(audio)[branch], k)

    def _scorer(self, branch: str) -> Scorer:
        return next(own.scorer for own in self._branches if own.name == branch)


def embed_views(
    extractor: Extractor,
    audio: NDArray[np.float32],
    views: list[str],
    timings: Timings | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Embeddings (n_segments, dim) of several views of one window (2, n_samples), as one batch."""
    batch = np.stack([VIEWS[view].apply(audio) for view in views])  # (n_views, n_channels, n)
    return dict(zip(views, extractor(batch, timings), strict=True))
