"""From an embedding to an anomaly score: the least normalised distance over both domains.

``score(y) = min over domains d of min over references x of scale_d(x) D(y, x) + offset_d(x)``,
higher being more anomalous; of an ensemble, the mean over its members.
:mod:`edge_asd.scoring.kinds` defines the scale and offset of each kind of scorer,
:mod:`edge_asd.scoring.density` the densities behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.record import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.bank import Bank, ExactBank
from edge_asd.scoring.density import Floats, Rows, normalise_rows
from edge_asd.scoring.kinds import Banks, DirectSpec, ReferenceSpec

__all__ = [
    "BankScorer",
    "Neighbour",
    "Scorer",
    "exact_scores",
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
    average : what is averaged over the segments of a window; an ensemble's members have no
        segments, and their scores are averaged
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
        self._members = next(iter(banks.values())).members

    def score(self, embeddings: Rows) -> float:
        """Return the anomaly score of a window.

        Parameters
        ----------
        embeddings : (n_segments, dim) float, of an ensemble (members, dim)
            As the encoder gives them; normalised here.

        Raises
        ------
        DataError
            When one is not finite, all zeros, or of another width than the banks.
        """
        queries = window_queries(embeddings, self._average, self._members)
        minima = [bank.minima(queries) for bank in self._banks.values()]
        return float(np.min(minima, axis=0).mean())

    @property
    def sizes(self) -> dict[Domain, int]:
        """How many references each domain has."""
        return {domain: len(bank) for domain, bank in self._banks.items()}

    def nearest(self, embeddings: Rows, k: int) -> tuple[Neighbour, ...]:
        """Return the `k` references of any domain nearest to a window, the nearest first.

        Parameters
        ----------
        embeddings : (n_segments, dim) float, of an ensemble (members, dim)
            As the encoder gives them; the mean direction of segments is compared.

        Raises
        ------
        DataError
            When one is not finite, all zeros, or of another width than the banks.
        """
        queries = window_queries(embeddings, "embeddings", self._members)
        found = [
            Neighbour(domain, row, distance)
            for domain, bank in self._banks.items()
            for row, distance in bank.nearest(queries, k)
        ]
        return tuple(sorted(found, key=lambda neighbour: neighbour.distance)[:k])

    def mean_distances(self, embeddings: Rows) -> dict[Domain, float]:
        """Return the mean normalised distance from a window to all references of each domain.

        Parameters
        ----------
        embeddings : as for :meth:`nearest`
        """
        queries = window_queries(embeddings, "embeddings", self._members)
        return {
            domain: float(np.mean([distance for _, distance in bank.nearest(queries, len(bank))]))
            for domain, bank in self._banks.items()
        }


Scorer = BankScorer | DirectSpec  # scores the windows of one branch


def window_queries(
    embeddings: Rows, average: Literal["embeddings", "scores"], members: int = 1
) -> NDArray[np.float32]:
    """What is compared with the banks for each window, rows of unit norm.

    Parameters
    ----------
    embeddings : (..., n_segments, dim) float, of an ensemble (..., members, dim)
    average : ``embeddings`` asks for the mean direction of the segments, ``scores`` for
        every segment
    members : networks that gave the embeddings, of which each one's is kept

    Returns
    -------
    (..., n_queries, dim) float32
        With ``embeddings`` n_queries is `members`.
    """
    unit = normalise_rows(embeddings)
    if average == "scores" or members > 1 or unit.shape[-2] == 1:
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
