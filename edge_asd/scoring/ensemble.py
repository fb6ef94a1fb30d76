"""References of one network or of several, and the bank of an ensemble.

An ensemble is several networks, its members. Each was trained without a part of the
recordings, and compares a window with the references of the other parts alone, in its own
embedding. The score is the mean of theirs ::

    mean over members b of  min over references x that b knows of  scale_b(x) * D(y_b, x_b) + ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.record import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.bank import (
    Bank,
    ExactBank,
    NearestReferences,
    ScoreNormalisation,
    nearest_first,
)
from edge_asd.scoring.density import Distance, Floats, Rows
from edge_asd.scoring.kinds import Banks, ReferenceSpec

__all__ = [
    "KNOWN_TO_ALL",
    "EnsembleBank",
    "ReferenceSet",
    "ReferenceSets",
    "exact_bank",
    "member_banks",
    "normalisations",
    "open_exact",
]

KNOWN_TO_ALL = -1  # fold of a reference that no member was trained without


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSet:
    """The references of one domain.

    Attributes
    ----------
    rows : (n, members, dim) float32, of unit norm
        What each member of an ensemble makes of a reference; of one network, members is 1.
    folds : (n,) int8
        The member that does not know a reference, because it was trained without it;
        `KNOWN_TO_ALL` where there is none.
    """

    rows: NDArray[np.float32]
    folds: NDArray[np.int8]

    @classmethod
    def known_to_all(cls, rows: NDArray[np.float32]) -> ReferenceSet:
        """Return references that every member knows."""
        return cls(rows, np.full(len(rows), KNOWN_TO_ALL, np.int8))

    @property
    def members(self) -> int:
        return int(self.rows.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> ReferenceSet:
        """Return a part of the references."""
        return ReferenceSet(self.rows[chosen], self.folds[chosen])


ReferenceSets = Mapping[Domain, ReferenceSet]  # of one machine and branch, by domain


def member_banks(references: ReferenceSets, member: int) -> Banks:
    """Return what one member compares with: rows (n_known, dim) of each domain that has any.

    Raises
    ------
    DataError
        When it knows none at all.
    """
    banks = {
        domain: own.rows[known, member]
        for domain, own in references.items()
        if (known := own.folds != member).any()
    }
    if not banks:
        raise DataError(
            f"network {member + 1} of an ensemble knows none of the references: each recording "
            "was held out when it was trained; give more recordings, or train again"
        )
    return banks


def normalisations(
    references: ReferenceSets, spec: ReferenceSpec
) -> dict[Domain, ScoreNormalisation]:
    """Return the score normalisation of every reference; of an ensemble by member, (members, n).

    Raises
    ------
    DataError
        When there are no references, one is not finite, or a member knows none.
    """
    members = max((own.members for own in references.values()), default=1)
    if members == 1:
        return spec.normalisations({domain: own.rows[:, 0] for domain, own in references.items()})
    found = {
        domain: ScoreNormalisation(
            np.ones((members, len(own))), np.full((members, len(own)), np.inf)
        )
        for domain, own in references.items()
    }
    for member in range(members):
        for domain, fitted in spec.normalisations(member_banks(references, member)).items():
            known = references[domain].folds != member
            found[domain].scale[member, known] = fitted.scale
            found[domain].offset[member, known] = fitted.offset
    return found


class EnsembleBank(Bank):
    """Compares what each member makes of a window with the references that this one knows.

    The search is exact: no index is made of an ensemble's references.

    Parameters
    ----------
    rows : (n, members, dim) float
    normalisation : (members, n), with an infinite offset where a member does not know one
    distance : between embeddings
    """

    def __init__(self, rows: Rows, normalisation: ScoreNormalisation, distance: Distance) -> None:
        super().__init__(normalisation)
        self.members = rows.shape[1]
        self._known = np.isfinite(normalisation.offset)
        self._banks = [
            ExactBank(
                rows[known, member],
                ScoreNormalisation(
                    normalisation.scale[member, known], normalisation.offset[member, known]
                ),
                distance,
            )
            for member, known in enumerate(self._known)
        ]

    def minima(self, queries: Rows) -> Floats:
        asked = self._asked(queries)
        return np.array(
            [
                bank.minima(asked[[b]])[0] if len(bank) else np.inf
                for b, bank in enumerate(self._banks)
            ]
        )

    def nearest(self, queries: Rows, k: int) -> NearestReferences:
        """Return the `k` references of least mean distance over the members that know them."""
        asked = self._asked(queries)
        total = np.zeros(len(self))
        for member, bank in enumerate(self._banks):
            if len(bank):
                total[self._known[member]] += bank.normalised(asked[[member]])[0]
        return nearest_first(total / self._known.sum(axis=0), k)

    def _asked(self, queries: Rows) -> Rows:
        if len(queries) != self.members:
            raise DataError(
                f"an ensemble of {self.members} networks was given {len(queries)} embeddings: "
                "they come from another encoder"
            )
        return queries


def exact_bank(rows: Rows, normalisation: ScoreNormalisation, distance: Distance) -> Bank:
    """Return the bank of references (n, members, dim) that is searched exactly."""
    if rows.shape[1] > 1:
        return EnsembleBank(rows, normalisation, distance)
    return ExactBank(rows[:, 0], normalisation, distance)


def open_exact(references: ReferenceSets, spec: ReferenceSpec) -> dict[Domain, Bank]:
    """Return the banks of references in memory, searched exactly.

    Raises
    ------
    DataError
        When there are no references, one is not finite, or a member knows none.
    """
    found = normalisations(references, spec)
    return {
        domain: exact_bank(own.rows, found[domain], spec.distance)
        for domain, own in references.items()
    }
