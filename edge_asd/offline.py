"""The score of a whole recording from the scores of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_asd.detector import WindowScore

__all__ = ["WindowDetector", "mean_score"]


class WindowDetector(Protocol):
    """What scoring a recording needs of a :class:`edge_asd.detector.Detector`."""

    @property
    def machine(self) -> str: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def window_samples(self) -> int: ...
    def score(self, audio: NDArray[np.float32]) -> WindowScore: ...


def mean_score(scores: Sequence[WindowScore]) -> WindowScore:
    """Mean of the fused and of each branch's scores over one or more windows."""
    return replace(
        scores[0],
        score=float(np.mean([score.score for score in scores])),
        branches={
            branch: float(np.mean([score.branches[branch] for score in scores]))
            for branch in scores[0].branches
        },
    )
