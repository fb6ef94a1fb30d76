"""Fusion weights without anomaly labels: from normal clips alone.

``docs/scoring.md`` says what each rule assumes and which others were tried.
A new rule is a function and a row of ``WEIGHT_RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import DataError, UsageError

__all__ = [
    "WEIGHT_RULES",
    "LabelFreeRule",
    "channel_weights",
    "covariance",
    "require_rule",
    "variance",
]

Floats = NDArray[np.float64]

FIRST_SHARE = 0.8  # equal-variance noise at a quarter of the weight widens a score by 3 %
SHRINKAGE = 0.1  # of correlations towards none: two parts of 1,000 clips are nearly collinear
# They failed on real recordings (docs/results.md).
REMOVED_RULES = ("separability", "hard-separability", "d-prime", "fisher", "best")


@dataclass(frozen=True, slots=True)
class LabelFreeRule:
    """One way to weigh parts, first part first."""

    summary: str  # written into the bundle
    weigh: Callable[[Floats], Floats]  # normal scores (n_parts, n) -> weights (n_parts,)


def require_rule(name: str) -> LabelFreeRule:
    """Return the rule of this name.

    Raises
    ------
    UsageError
        When there is none.
    """
    if name in REMOVED_RULES:
        raise UsageError(
            f"weight rule {name!r} was removed: it compares with other machines' clips, which "
            f"fails on real recordings; choose one of: {', '.join(WEIGHT_RULES)}"
        )
    if name not in WEIGHT_RULES:
        raise UsageError(f"unknown weight rule {name!r}; known rules: {', '.join(WEIGHT_RULES)}")
    return WEIGHT_RULES[name]


def channel_weights(rule: str, normal: Mapping[str, Floats]) -> dict[str, float]:
    """Return the weight of each part; they are not negative and sum to one.

    Parameters
    ----------
    rule : str
        A key of ``WEIGHT_RULES``.
    normal : mapping of part to (n,) float
        Normal scores of the machine's training clips, the same clips for each part.

    Raises
    ------
    UsageError
        When there is no such rule.
    DataError
        When scores are missing, of different lengths, or not finite.
    """
    weights = np.maximum(require_rule(rule).weigh(_matrix(normal)), 0.0)
    total = weights.sum()
    if not np.isfinite(total) or total <= 0:
        weights, total = np.ones(len(weights)), float(len(weights))
    return dict(zip(normal, (weights / total).tolist(), strict=True))


def _matrix(scores: Mapping[str, Floats]) -> Floats:
    lengths = {len(values) for values in scores.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError(
            f"parts {list(scores)} need as many scores each, found: "
            + (", ".join(f"{part} {len(values)}" for part, values in scores.items()) or "none")
        )
    matrix = np.stack([np.asarray(values, dtype=np.float64) for values in scores.values()])
    if not np.isfinite(matrix).all():
        raise DataError("normal scores are not finite: check the recordings and the encoder")
    return matrix


def _mostly_first(normal: Floats) -> Floats:
    n_rest = len(normal) - 1
    if n_rest == 0:
        return np.ones(1)
    return np.array([FIRST_SHARE] + [(1 - FIRST_SHARE) / n_rest] * n_rest)


def variance(scores: Floats) -> Floats:
    """Variance of each part, above zero; (n_parts,)."""
    return np.maximum(scores.var(axis=1), 1e-6 * np.square(scores).mean(axis=1) + 1e-12)


def covariance(scores: Floats) -> Floats:
    """Shrunk covariance of the parts, positive definite; (n_parts, n_parts)."""
    covariance = np.atleast_2d(np.cov(scores, bias=True)) * (1.0 - SHRINKAGE)
    np.fill_diagonal(covariance, variance(scores))
    return covariance


WEIGHT_RULES: Mapping[str, LabelFreeRule] = {
    "equal": LabelFreeRule("equal weights", lambda normal: np.ones(len(normal))),
    "first": LabelFreeRule("the first part alone", lambda normal: np.eye(len(normal))[0]),
    "mostly-first": LabelFreeRule(f"{FIRST_SHARE:g} for the first part", _mostly_first),
    "inverse-variance": LabelFreeRule(
        "inverse variance of the normal scores", lambda normal: 1.0 / variance(normal)
    ),
    "minimum-variance": LabelFreeRule(
        "smallest variance of the fused normal scores",
        lambda normal: np.asarray(np.linalg.solve(covariance(normal), np.ones(len(normal)))),
    ),
}
