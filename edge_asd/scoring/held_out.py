"""Held-out scores: what references would score if they had never been heard.

The references are divided into groups of sound that has nothing in common with the others:
takes, or stretches of a recording. A group is scored as if it were new, by references of the
other groups, whose densities are measured without it. Leaving out single clips would be too
kind: the clip before shares its background with the next, if not its samples.

What a network was trained with it has heard, whatever is left out of its banks. Of an
ensemble, therefore, only the member speaks that was trained without a reference; where all
members know it as little as each other, as on site, all of them do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.record import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.bank import Bank
from edge_asd.scoring.density import Floats
from edge_asd.scoring.ensemble import KNOWN_TO_ALL, ReferenceSet, ReferenceSets, member_banks
from edge_asd.scoring.kinds import ReferenceSpec
from edge_asd.scoring.scorer import exact_scores

__all__ = ["MOST_GROUPS", "Groups", "held_out_scores"]

MOST_GROUPS = 10  # more cost time, and change little

Groups = Mapping[Domain, NDArray[np.integer]]  # number of the group of each reference, (n_d,)


def held_out_scores(
    references: ReferenceSets,
    groups: Groups,
    spec: ReferenceSpec,
    *,
    queries: Mapping[Domain, NDArray[np.float32]] | None = None,
    shared: Mapping[Domain, NDArray[np.bool_]] | None = None,
    others: Sequence[Bank] = (),
) -> dict[Domain, Floats]:
    """Return the score that each reference gets from those of other groups.

    Where all are of one group, each is a group of its own, up to `MOST_GROUPS` stretches of
    them: such scores are better than none, and too low.

    Parameters
    ----------
    references : of one machine and branch, by domain
        Both domains leave out the group.
    groups : of each reference; where a reference has a fold, it is that fold
    queries : (n_d, n_queries, dim) float32 by domain
        What is scored in their stead: segments of one network. None: the references.
    shared : (n_groups, n_d) bool by domain
        References that share sound with a group, though they are of another.
    others : banks whose references share no sound with any group

    Returns
    -------
    dict of domain to (n_d,) float64

    Raises
    ------
    DataError
        When a group is all there is, or an embedding is not finite.
    """
    asked = queries or {domain: own.rows for domain, own in references.items()}
    if len(np.unique(np.concatenate(list(groups.values())))) == 1:
        groups = _stretches(groups)
        references = {d: ReferenceSet.known_to_all(own.rows) for d, own in references.items()}
    nearest = {domain: _nearest(rows, others) for domain, rows in asked.items()}
    for group in np.unique(np.concatenate(list(groups.values()))):
        left_out = {domain: of_domain == group for domain, of_domain in groups.items()}
        apart = {d: left_out[d] | shared[d][group] if shared else left_out[d] for d in left_out}
        rest = {d: own.some(~apart[d]) for d, own in references.items() if not apart[d].all()}
        if not rest:
            raise DataError(
                f"{sum(map(len, references.values()))} windows are too few to hold some of them "
                "out: record for longer"
            )
        for domain, own in references.items():
            _score(nearest[domain], asked[domain], own, left_out[domain], rest, spec)
    return {domain: _mean(nearest[domain], own) for domain, own in references.items()}


def _nearest(queries: NDArray[np.float32], banks: Sequence[Bank]) -> Floats:
    """Least normalised distance from each query (n, n_queries, dim) to some banks."""
    nearest = np.full(queries.shape[:2], np.inf)
    for bank in banks:
        nearest = np.minimum(nearest, [bank.minima(window) for window in queries])
    return nearest


def _stretches(groups: Groups) -> Groups:
    """Groups of references that follow each other, over all domains."""
    n_references = sum(map(len, groups.values()))
    numbers = np.arange(n_references) * min(MOST_GROUPS, n_references) // n_references
    ends = np.cumsum([len(of_domain) for of_domain in groups.values()])
    return dict(zip(groups, np.split(numbers, ends[:-1]), strict=True))


def _score(
    nearest: Floats,
    queries: NDArray[np.float32],
    own: ReferenceSet,
    chosen: NDArray[np.bool_],
    rest: ReferenceSets,
    spec: ReferenceSpec,
) -> None:
    """Lower the distances of the chosen references to those that the rest allows."""
    for member in range(own.members):
        index = np.flatnonzero(chosen & _speaks(own, member))
        if not len(index):
            continue
        columns = slice(None) if own.members == 1 else slice(member, member + 1)
        some = queries[index, columns]
        scores = exact_scores(some.reshape(-1, some.shape[-1]), member_banks(rest, member), spec)
        found = scores.reshape(len(index), -1)
        nearest[index, columns] = np.minimum(nearest[index, columns], found)


def _speaks(own: ReferenceSet, member: int) -> NDArray[np.bool_]:
    """References of which a member may say how new sound like them scores."""
    return np.asarray((own.folds == KNOWN_TO_ALL) | (own.folds == member))


def _mean(nearest: Floats, own: ReferenceSet) -> Floats:
    """Mean over the segments, or over the members that speak."""
    if own.members == 1:
        return np.asarray(nearest.mean(axis=1))
    speaks = np.stack([_speaks(own, member) for member in range(own.members)], axis=1)
    return np.asarray(np.where(speaks, nearest, 0.0).sum(axis=1) / speaks.sum(axis=1))
