"""Folds: whole takes, balanced within each machine and domain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from edge_asd.bundle.manifest import Domain
from edge_asd_export.data.clips import Clip
from edge_asd_export.data.folds import NO_FOLD, assign_folds


def clips(n: int, machine: str = "fan", domain: Domain = "source") -> list[Clip]:
    return [
        Clip(
            Path(f"{machine}/train/{domain}_{i}.wav"), machine, "00", "train", domain, "normal", i,
            "", 1000,
        )
        for i in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("domain", ["source", "target"])
def test_each_machine_and_domain_is_divided_evenly(domain: Domain) -> None:
    every = [*clips(46), *clips(10, domain="target"), *clips(23, "pump")]

    folds = assign_folds(every, {}, seed=0)

    sizes = Counter(folds[c] for c in every if (c.machine, c.domain) == ("fan", domain))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert sorted(sizes) == [0, 1, 2, 3, 4]


def test_takes_stay_whole() -> None:
    every = clips(40)
    takes = {clip: f"take {clip.index // 3}" for clip in every}

    folds = assign_folds(every, takes, seed=0)

    assert len({(takes[clip], folds[clip]) for clip in every}) == len(set(takes.values()))
    assert max(Counter(folds.values()).values()) <= 10


def test_names_of_takes_belong_to_their_machine() -> None:
    every = [*clips(5), *clips(5, "pump")]
    takes = {clip: str(clip.index) for clip in every}

    folds = assign_folds(every, takes, seed=0)

    assert sorted(folds[clip] for clip in every[:5]) == [0, 1, 2, 3, 4]


def test_a_machine_of_one_take_is_in_no_fold() -> None:
    every = clips(6)

    folds = assign_folds(every, dict.fromkeys(every, "the only one"), seed=0)

    assert set(folds.values()) == {NO_FOLD}


def test_one_take_in_each_domain_gives_two_folds() -> None:
    every = [*clips(4), *clips(4, domain="target")]
    takes = {clip: str(clip.domain) for clip in every}

    assert len(set(assign_folds(every, takes, seed=0).values())) == 2


def test_the_seed_chooses() -> None:
    every = clips(30)

    first, again, other = (assign_folds(every, {}, seed) for seed in (0, 0, 1))

    assert first == again != other
