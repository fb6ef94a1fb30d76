"""From an embedding to an anomaly score: the least normalised distance over both domains.

``score(y) = min over domains d of min over references x of scale_d(x) D(y, x) + offset_d(x)``,
higher being more anomalous. :mod:`edge_asd.scoring.kinds` defines the scale and offset of each
kind of scorer, :mod:`edge_asd.scoring.density` the densities behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.record import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.bank import Bank, ExactBank
from edge_asd.scoring.density import (
    NO_NEIGHBOUR,
    Floats,
    References,
    Rows,
    leave_one_out,
    normalise_rows,
)
from edge_asd.scoring.kinds import Banks, DirectSpec, ReferenceSpec, require_references

__all__ = [
    "BankScorer",
    "Neighbour",
    "Scorer",
    "exact_scores",
    "leave_one_out_scores",
    "normalise_rows",
    "window_queries",
]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A reference and the normalised distance to it."""

    domain: Domain
    row: int  # of the bank of its domain
    distance: float


class BankScorer:
    """Compares embeddings with the memory banks of one machine and branch.

    Parameters
    ----------
    banks : mapping of domain to its bank
    average : what is averaged over the segments of a window
    """

    def __init__(
        self,
        banks: Mapping[Domain, Bank],
        average: Literal["embeddings", "scores"] = "embeddings",
    ) -> None:
        if not banks:
            raise DataError("a scorer needs the bank of at least one domain")
        self._banks = dict(banks)
        self._average = average

    def score(self, embeddings: Rows) -> float:
        """Return the anomaly score of a window.

        Parameters
        ----------
        embeddings : (n_segments, dim) float
            As the encoder gives them; normalised here.

        Raises
        ------
        DataError
            When one is not finite, all zeros, or of another width than the banks.
        """
        queries = window_queries(embeddings, self._average)
        banks = self._banks.values()
        return fmean(min(bank.minimum(query) for bank in banks) for query in queries)

    @property
    def sizes(self) -> dict[Domain, int]:
        """How many references each domain has."""
        return {domain: len(bank) for domain, bank in self._banks.items()}

    def nearest(self, embeddings: Rows, k: int) -> tuple[Neighbour, ...]:
        """Return the `k` references of any domain nearest to a window, the nearest first.

        Parameters
        ----------
        embeddings : (n_segments, dim) float
            As the encoder gives them; their mean direction is compared.

        Raises
        ------
        DataError
            When one is not finite, all zeros, or of another width than the banks.
        """
        query = window_queries(embeddings, "embeddings")[0]
        found = [
            Neighbour(domain, row, distance)
            for domain, bank in self._banks.items()
            for row, distance in bank.nearest(query, k)
        ]
        return tuple(sorted(found, key=lambda neighbour: neighbour.distance)[:k])


Scorer = BankScorer | DirectSpec  # scores the windows of one branch


def window_queries(
    embeddings: Rows, average: Literal["embeddings", "scores"]
) -> NDArray[np.float32]:
    """What is compared with the banks for each window, rows of unit norm.

    Parameters
    ----------
    embeddings : (..., n_segments, dim) float
    average : ``embeddings`` asks for the mean direction of the segments, ``scores`` for
        every segment

    Returns
    -------
    (..., n_queries, dim) float32
    """
    unit = normalise_rows(embeddings)
    if average == "scores" or unit.shape[-2] == 1:
        return unit
    return normalise_rows(unit.mean(axis=-2, keepdims=True))


def exact_scores(queries: Rows, banks: Banks, spec: ReferenceSpec) -> Floats:
    """Return the scores of many vectors against banks in memory, vectors taken as given.

    Parameters
    ----------
    queries : (m, dim) float
    banks : mapping of domain to (n_d, dim) float

    Returns
    -------
    (m,) float64

    Raises
    ------
    DataError
        When there is no bank, or when one is empty or not finite.
    """
    minima = [
        ExactBank(banks[domain], normalisation, spec.distance).minima(queries)
        for domain, normalisation in spec.normalisations(banks).items()
    ]
    return np.asarray(np.min(minima, axis=0))


def leave_one_out_scores(banks: Banks, spec: ReferenceSpec) -> dict[Domain, Floats]:
    """Return the score that each reference would get if it were not part of its bank.

    The clip itself is excluded from the minimum, from the densities and from their floor,
    as if its bank had been built without it. Only the alpha of ``varmin`` stays that of
    the whole bank. A clip that is alone in its bank is scored by the other bank.

    Parameters
    ----------
    banks : mapping of domain to (n_d, dim) float
        Vectors are taken as given; see :func:`normalise_rows`.

    Returns
    -------
    dict of domain to (n_d,) float64

    Raises
    ------
    DataError
        When fewer than two references exist in all, or a bank is empty or not finite.
    """
    require_references(banks)
    if sum(len(rows) for rows in banks.values()) < 2:
        raise DataError(
            "leave-one-out scores need at least two references, found one: record more clips"
        )
    return {domain: _left_out(domain, banks, spec) for domain in banks}


def _left_out(domain: Domain, banks: Banks, spec: ReferenceSpec) -> Floats:
    """Leave-one-out scores of one bank."""
    own = banks[domain]
    others = {other: rows for other, rows in banks.items() if other != domain}
    if len(own) == 1:
        return exact_scores(own, others, spec)
    normalised, lone = spec.fit(own, domain), spec.lone_density(banks, domain)
    normalisations = spec.normalisations(others) if others else {}
    references = {other: References(rows, spec.distance) for other, rows in others.items()}
    scores = np.empty(len(own))
    for left_out in leave_one_out(own, spec.neighbourhood(domain), lone=lone):
        best = normalised(left_out.density).minimum(left_out.distance)
        for other, bank in references.items():
            normalisation = normalisations[other]
            if len(bank) == 1:  # borrows its density from the bank that remains
                normalisation = spec.fit(others[other], other)(_borrowed(left_out.density))
            best = np.minimum(best, normalisation.minimum(bank.distances(own[left_out.rows])))
        scores[left_out.rows] = best
    return scores


def _borrowed(density: Floats) -> Floats:
    """Density of a lone reference beside each bank that remains; (n_rows, 1)."""
    if density.shape[1] < 2:
        return np.full((len(density), 1), NO_NEIGHBOUR)
    return np.asarray(np.median(density, axis=1, keepdims=True))
