"""Several branch scores into one: a weighted sum, possibly of weighted sums."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.errors import DataError

__all__ = ["SIGMA_FLOOR", "fuse", "standardised"]

SIGMA_FLOOR = 0.01  # of the mean size of the scores; a smaller spread is not a scale

Score = TypeVar("Score", float, NDArray[np.float64])


def fuse(spec: FusionSpec, scores: Mapping[str, Score]) -> Score:
    """Return the sum over terms of ``weight * (score - mean) / std``; higher is more anomalous.

    Parameters
    ----------
    spec : FusionSpec
        A term is of a branch, or of a nested sum, which is fused first.
    scores : mapping of branch name to float, or to (n,) float64

    Returns
    -------
    float, or (n,) float64

    Raises
    ------
    DataError
        When a branch of the fusion has no score.
    """
    return reduce(add, (_weighted(term, scores) for term in spec.terms))


def standardised(term: TermSpec, normal: Mapping[str, NDArray[np.float64]]) -> TermSpec:
    """Return a term with the mean and the standard deviation of its normal scores.

    The latter is at least `SIGMA_FLOOR` of their root mean square.

    Parameters
    ----------
    normal : (n,) float64 by branch
    """
    scores = np.asarray(_fused(term, normal))
    size = float(np.sqrt(np.square(scores).mean()))
    std = max(float(scores.std()), SIGMA_FLOOR * size) or 1.0
    return term.model_copy(update={"mean": float(scores.mean()), "std": std})


def _weighted(term: TermSpec, scores: Mapping[str, Score]) -> Score:
    return term.weight * (_fused(term, scores) - term.mean) / term.std


def _fused(term: TermSpec, scores: Mapping[str, Score]) -> Score:
    """Scores of what a term is of."""
    if isinstance(term.of, FusionSpec):
        return fuse(term.of, scores)
    if term.of in scores:
        return scores[term.of]
    raise DataError(
        f"no score of branch {term.of!r} to fuse; there are: {', '.join(scores) or 'none'}"
    )
