"""Fusion weights without anomaly labels: from normal clips alone.

A rule sees the normal scores of the machine's own clips (:func:`.scoring.normal_scores`) and,
if it asks for them, the scores that the machine's banks give to the normal clips of *other*
machines: the only other sounds there are. ``docs/scoring.md`` says what each rule can and
cannot know.
A new rule is a function and a row of ``WEIGHT_RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from edge_asd.errors import DataError, UsageError

__all__ = ["WEIGHT_RULES", "LabelFreeRule", "channel_weights"]

Floats = NDArray[np.float64]

FIRST_SHARE = 0.8  # equal-variance noise at a quarter of the weight widens a score by 3 %
HARDEST = 0.1  # share of the other machines' clips that look most normal
SHRINKAGE = 0.1  # of correlations towards none: two parts of 1,000 clips are nearly collinear


@dataclass(frozen=True, slots=True)
class LabelFreeRule:
    """One way to weigh parts, first part first."""

    summary: str  # written into the bundle
    weigh: Callable[[Floats, Floats], Floats]  # (n_parts, n) normal, (n_parts, m) other -> weights
    needs_proxy: bool = False


def channel_weights(
    rule: str, normal: Mapping[str, Floats], proxy: Mapping[str, Floats] | None = None
) -> dict[str, float]:
    """Return the weight of each part; they are not negative and sum to one.

    Where a rule finds no part better than chance, all weights are equal.

    Parameters
    ----------
    rule : str
        A key of ``WEIGHT_RULES``.
    normal : mapping of part to (n,) float
        Normal scores of the machine's training clips, the same clips for each part.
    proxy : mapping of part to (m,) float, optional
        Scores of other machines' normal clips.

    Raises
    ------
    UsageError
        When there is no such rule.
    DataError
        When scores are missing, of different lengths, or not finite.
    """
    if rule not in WEIGHT_RULES:
        raise UsageError(f"unknown weight rule {rule!r}; known rules: {', '.join(WEIGHT_RULES)}")
    if WEIGHT_RULES[rule].needs_proxy and not proxy:
        raise DataError(
            f"weight rule {rule!r} compares with other machines, and there are none: "
            "add their clips, or choose another rule"
        )
    own = _matrix(normal, list(normal))
    other = _matrix(proxy, list(normal)) if proxy else np.empty((len(own), 0))
    weights = np.maximum(WEIGHT_RULES[rule].weigh(own, other), 0.0)
    total = weights.sum()
    if not np.isfinite(total) or total <= 0:
        weights, total = np.ones(len(own)), float(len(own))
    return dict(zip(normal, (weights / total).tolist(), strict=True))


def _matrix(scores: Mapping[str, Floats], parts: list[str]) -> Floats:
    missing = [part for part in parts if part not in scores]
    lengths = {len(values) for values in scores.values()}
    if not parts or missing or len(lengths) != 1 or 0 in lengths:
        raise DataError(
            f"parts {parts} need as many scores each, found: "
            + (", ".join(f"{part} {len(values)}" for part, values in scores.items()) or "none")
        )
    matrix = np.stack([np.asarray(scores[part], dtype=np.float64) for part in parts])
    if not np.isfinite(matrix).all():
        raise DataError("normal scores are not finite: check the recordings and the encoder")
    return matrix


def _equal(normal: Floats, other: Floats) -> Floats:
    return np.ones(len(normal))


def _first(normal: Floats, other: Floats) -> Floats:
    return np.eye(len(normal))[0]


def _mostly_first(normal: Floats, other: Floats) -> Floats:
    n_rest = len(normal) - 1
    if n_rest == 0:
        return np.ones(1)
    return np.array([FIRST_SHARE] + [(1 - FIRST_SHARE) / n_rest] * n_rest)


def _inverse_variance(normal: Floats, other: Floats) -> Floats:
    return np.asarray(1.0 / _variance(normal))


def _minimum_variance(normal: Floats, other: Floats) -> Floats:
    return np.asarray(np.linalg.solve(_covariance(normal), np.ones(len(normal))))


def _separability(normal: Floats, other: Floats) -> Floats:
    return np.square(np.maximum(2.0 * _auc(normal, other) - 1.0, 0.0))


def _hard_separability(normal: Floats, other: Floats) -> Floats:
    n_hard = max(1, round(HARDEST * other.shape[1]))
    return _separability(normal, np.sort(other, axis=1)[:, :n_hard])


def _best(normal: Floats, other: Floats) -> Floats:
    separation = _distance_between(normal, other)
    return np.eye(len(normal))[separation.argmax()] * (separation.max() > 0)


def _d_prime(normal: Floats, other: Floats) -> Floats:
    return np.square(np.maximum(_distance_between(normal, other), 0.0))


def _fisher(normal: Floats, other: Floats) -> Floats:
    shift = other.mean(axis=1) - normal.mean(axis=1)
    return np.linalg.solve(_covariance(normal) + _covariance(other), shift)


def _distance_between(normal: Floats, other: Floats) -> Floats:
    """Distance of the means in units of the pooled standard deviation; (n_parts,)."""
    pooled = np.sqrt((_variance(normal) + _variance(other)) / 2.0)
    return np.asarray((other.mean(axis=1) - normal.mean(axis=1)) / pooled)


def _variance(scores: Floats) -> Floats:
    return np.maximum(scores.var(axis=1), 1e-6 * np.square(scores).mean(axis=1) + 1e-12)


def _covariance(scores: Floats) -> Floats:
    """Shrunk covariance of the parts, positive definite; (n_parts, n_parts)."""
    covariance = np.atleast_2d(np.cov(scores, bias=True)) * (1.0 - SHRINKAGE)
    np.fill_diagonal(covariance, _variance(scores))
    return covariance


def _auc(normal: Floats, other: Floats) -> Floats:
    n_pairs = normal.shape[1] * other.shape[1]
    return np.array(
        [
            mannwhitneyu(high, low, method="asymptotic").statistic / n_pairs
            for high, low in zip(other, normal, strict=True)
        ]
    )


WEIGHT_RULES: Mapping[str, LabelFreeRule] = {
    "equal": LabelFreeRule("equal weights", _equal),
    "first": LabelFreeRule("the first part alone", _first),
    "mostly-first": LabelFreeRule(f"{FIRST_SHARE:g} for the first part", _mostly_first),
    "inverse-variance": LabelFreeRule("inverse variance of the normal scores", _inverse_variance),
    "minimum-variance": LabelFreeRule(
        "smallest variance of the fused normal scores", _minimum_variance
    ),
    "separability": LabelFreeRule(
        "(2 AUC - 1)^2 against other machines' normals", _separability, needs_proxy=True
    ),
    "hard-separability": LabelFreeRule(
        f"(2 AUC - 1)^2 against the {HARDEST:.0%} of other machines' normals that score lowest",
        _hard_separability,
        needs_proxy=True,
    ),
    "d-prime": LabelFreeRule(
        "squared distance in sigmas from other machines' normals", _d_prime, needs_proxy=True
    ),
    "fisher": LabelFreeRule(
        "Fisher's discriminant against other machines' normals", _fisher, needs_proxy=True
    ),
    "best": LabelFreeRule(
        "the part farthest, in sigmas, from other machines' normals", _best, needs_proxy=True
    ),
}
