"""Several branch scores into one: a weighted sum, possibly of weighted sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.errors import DataError

__all__ = ["fuse"]

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
    first, *rest = spec.terms
    total = _weighted(first, scores)
    for term in rest:
        total = total + _weighted(term, scores)
    return total


def _weighted(term: TermSpec, scores: Mapping[str, Score]) -> Score:
    if isinstance(term.of, FusionSpec):
        score = fuse(term.of, scores)
    elif term.of in scores:
        score = scores[term.of]
    else:
        raise DataError(
            f"no score of branch {term.of!r} to fuse; there are: {', '.join(scores) or 'none'}"
        )
    return term.weight * (score - term.mean) / term.std
