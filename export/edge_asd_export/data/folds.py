"""Folds: which fifth of a machine's clips a member of an ensemble is trained without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from edge_asd_export.data.clips import Clip

__all__ = ["NO_FOLD", "N_FOLDS", "assign_folds"]

N_FOLDS = 5
NO_FOLD = -1  # every member may know the clip


def assign_folds(clips: Sequence[Clip], takes: Mapping[Clip, str], seed: int) -> dict[Clip, int]:
    """Return the fold of each clip, from 0 to ``N_FOLDS - 1``.

    Takes stay whole: clips that share sound are in one fold. Within each machine and domain the
    folds get as many clips as takes allow, in an order that the seed chooses. A machine of a
    single take cannot be divided: its clips are in no fold.

    Parameters
    ----------
    takes : name of each clip's take within its machine; a clip that is absent is one of its own
    """
    folds: dict[Clip, int] = {}
    for machine in sorted({clip.machine for clip in clips}):
        own = [clip for clip in clips if clip.machine == machine]
        folds |= _folds_of_machine(own, takes, np.random.default_rng(seed))
    return folds


def _folds_of_machine(
    clips: Sequence[Clip], takes: Mapping[Clip, str], rng: np.random.Generator
) -> dict[Clip, int]:
    by_take: dict[str | Clip, list[Clip]] = {}
    for clip in clips:
        by_take.setdefault(takes.get(clip, clip), []).append(clip)
    if len(by_take) < 2:
        return dict.fromkeys(clips, NO_FOLD)
    order = [list(by_take.values())[i] for i in rng.permutation(len(by_take))]
    preference = rng.permutation(N_FOLDS).tolist()
    in_domain: Counter[tuple[str | None, int]] = Counter()
    in_machine: Counter[int] = Counter()
    folds: dict[Clip, int] = {}
    # Large takes first: small ones can even out what they leave uneven.
    for take in sorted(order, key=len, reverse=True):
        domains = Counter(clip.domain for clip in take)
        main = max(domains, key=lambda domain: domains[domain])
        fold = min(preference, key=lambda fold: (in_domain[main, fold], in_machine[fold]))
        for clip in take:
            folds[clip] = fold
            in_domain[clip.domain, fold] += 1
            in_machine[fold] += 1
    return folds
