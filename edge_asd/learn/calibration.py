"""Fusion and threshold of what was enrolled on site, from normal sound alone.

Each window is scored by references that were recorded at another time: the recording is
divided into blocks that follow each other, and the windows of a block are compared with
those of the other blocks (:mod:`edge_asd.scoring.held_out`). Leaving out single windows would
be too kind, since the window before and the one after share half of their samples and all of
their background with it.
``docs/site-learning.md`` has what that, and the Student distribution below, is worth on
real recordings.

The device has neither scipy nor labels: numpy and the standard library do, and the weights
of the branches stay those of the bundle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import FusionSpec, TermSpec, ThresholdSpec
from edge_asd.scoring.density import Floats
from edge_asd.scoring.fusion import standardised
from edge_asd.scoring.threshold import Quantile, empirical_quantile, normal_threshold

__all__ = [
    "N_BLOCKS",
    "WindowPlace",
    "recording_blocks",
    "refitted",
    "shared_sound",
    "site_threshold",
    "student_quantile",
    "window_takes",
]

N_BLOCKS = 10  # one minute each of the ten that are recommended
MIN_EXCEEDANCES = 100  # scores above an empirical threshold; windows that overlap rise together
_MOST_LOG = 700.0  # of a score; more is no number


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


def site_threshold(
    scores: Floats, false_alarm_rate: float, *, kind: str, n_takes: int | None = None
) -> ThresholdSpec:
    """Return the level that a stated share of normal windows to come exceeds.

    An empirical quantile where the sample holds `MIN_EXCEEDANCES` scores above it. Otherwise
    the upper limit of prediction of a log-normal distribution, or, where scores are not
    positive (z-scores), of a normal one: mean and spread are estimates themselves, from
    as many independent looks at the machine as there are takes, but no fewer than blocks, so
    Student's distribution stands in for the normal one. It is never below the quantile of the
    sample.

    Parameters and errors are those of :func:`edge_asd.scoring.threshold.normal_threshold`.
    """
    n_looks = max(n_takes or 1, min(N_BLOCKS, len(scores)))

    def tail(normal: Floats) -> Quantile:
        return partial(_upper, normal, max(n_looks, 2))

    return normal_threshold(scores, false_alarm_rate, tail, kind=kind, n_takes=n_takes)


def _upper(normal: Floats, n_looks: int, rate: float) -> tuple[float, str]:
    """The level that a share `rate` lies above, and how it is found."""
    if len(normal) * rate >= MIN_EXCEEDANCES:
        return empirical_quantile(normal, rate), "empirical quantile"
    positive = bool(normal.min() > 0)
    values = np.log(normal) if positive else normal
    spread = float(values.std(ddof=1)) * math.sqrt(1 + 1 / n_looks)
    level = float(values.mean()) + spread * student_quantile(1.0 - rate, n_looks - 1)
    name = "log-normal" if positive else "normal"
    method = f"limit of prediction of a {name} distribution ({n_looks} independent looks)"
    # Scores may be more skewed than that: z-scores of small distances are.
    heard = float(np.quantile(normal, 1.0 - rate))
    return max(math.exp(min(level, _MOST_LOG)) if positive else level, heard), method


def student_quantile(probability: float, n_degrees: int) -> float:
    """Return the quantile of Student's distribution, in [0.5, 1).

    Exact for one and two degrees of freedom, else within 3 % up to a probability of 0.999
    (Abramowitz and Stegun, 26.7.5).
    """
    if n_degrees == 1:
        return math.tan(math.pi * (probability - 0.5))
    if n_degrees == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / n_degrees**power for power, term in enumerate(terms, start=1)))
