"""What was enrolled on site, divided so that it can be scored as if it were new.

Each window is scored by references that were recorded at another time: the recording is
divided into blocks that follow each other, and the windows of a block are compared with
those of the other blocks (:mod:`edge_asd.scoring.held_out`). Leaving out single windows would
be too kind, since the window before and the one after share half of their samples and all of
their background with it.
``docs/site-learning.md`` has what that is worth on real recordings. The weights of the branches
stay those of the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.scoring.density import Floats
from edge_asd.scoring.fusion import standardised

__all__ = [
    "N_BLOCKS",
    "WindowPlace",
    "recording_blocks",
    "refitted",
    "shared_sound",
    "window_takes",
]

N_BLOCKS = 10  # one minute each of the ten that are recommended


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where a window was heard."""

    recording: int  # 0, 1, ...; nothing is known of the time between two of them
    start_sample: int
    n_samples: int
    take: int | None = None  # the same for recordings that share sound; None: one of its own

    @property
    def of_take(self) -> int:
        """Number of its take."""
        return self.recording if self.take is None else self.take

    def overlaps(self, other: WindowPlace) -> bool:
        """Whether two windows share samples."""
        apart = abs(self.start_sample - other.start_sample)
        return self.recording == other.recording and apart < self.n_samples


def recording_blocks(places: Sequence[WindowPlace], n_blocks: int = N_BLOCKS) -> NDArray[np.intp]:
    """Return the block of each window, (n,), numbered from 0: stretches of sound, or whole takes.

    With at least `n_blocks` takes, none is in two blocks; otherwise none of several recordings
    is, unless there is nothing else.

    Parameters
    ----------
    places : in the order of time; recordings of one take are neighbours
    """
    takes = np.array([place.of_take for place in places])
    names, number = np.unique(takes, return_inverse=True)
    if len(names) >= n_blocks:
        return number * n_blocks // len(names)
    recordings = np.array([place.recording for place in places])
    stretches = np.arange(len(places)) * min(n_blocks, len(places)) // len(places)
    whole = stretches.copy()
    for take in range(len(names)):
        own = np.flatnonzero(number == take)
        if len(set(recordings[own])) > 1:
            whole[own] = whole[own[0]]
    blocks = np.unique(whole, return_inverse=True)[1]
    return blocks if blocks.any() else stretches


def window_takes(places: Sequence[WindowPlace]) -> NDArray[np.int64]:
    """Return the take of each window, (n,); where there are few takes, stretches of them."""
    n_takes = len({place.of_take for place in places})
    return recording_blocks(places, max(N_BLOCKS, n_takes)).astype(np.int64)


def shared_sound(places: Sequence[WindowPlace], blocks: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which windows share samples with a block, (n_blocks, n), in the order of time."""
    edges = [np.flatnonzero(blocks == block)[[0, -1]] for block in range(blocks.max() + 1)]
    return np.array(
        [[any(place.overlaps(places[i]) for i in edge) for place in places] for edge in edges]
    )


def refitted(fusion: FusionSpec, scores: Mapping[str, Floats]) -> FusionSpec:
    """Return a fusion with the same weights, and the statistics of these normal scores.

    Only terms that are standardised get a new mean and spread, those nested in others first.

    Parameters
    ----------
    scores : (n,) float64 by branch
    """

    def refit(term: TermSpec) -> TermSpec:
        if isinstance(term.of, FusionSpec):
            term = term.model_copy(update={"of": refitted(term.of, scores)})
        return term if (term.mean, term.std) == (0.0, 1.0) else standardised(term, scores)

    return fusion.model_copy(update={"terms": tuple(map(refit, fusion.terms))})
