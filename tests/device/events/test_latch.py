"""A condition must last before it counts, and a fault is reported once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_asd.events.fault import FaultChange
from edge_asd.events.latch import FaultLatch, Latch

STEP_S = 0.1


def switches(latch: Latch, conditions: Sequence[bool | None]) -> list[int]:
    """The steps after which it switched."""
    return [i for i, holds in enumerate(conditions, 1) if latch.update(holds, STEP_S)]


@pytest.mark.parametrize("raise_s", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("clear_s", [0.0, 0.1, 30.0])
def test_it_switches_after_both_times(raise_s: float, clear_s: float) -> None:
    on, off = max(1, round(raise_s / STEP_S)), max(1, round(clear_s / STEP_S))

    assert switches(Latch(raise_s, clear_s), [True] * on + [False] * off) == [on, on + off]


@pytest.mark.parametrize(("n_held", "counts"), [(9, False), (10, True)])
def test_what_comes_and_goes_counts_by_its_share_of_the_time(n_held: int, counts: bool) -> None:
    condition = ([True] * n_held + [False] * (100 - n_held)) * 50

    switched = switches(Latch(3.0, 30.0), condition)

    assert bool(switched) == counts  # the limit is 3 of 33 seconds


def test_what_is_unknown_changes_nothing() -> None:
    assert switches(Latch(0.2, 0.2), [True, None, None, True, None, False, None, False]) == [4, 8]


def test_a_fault_is_reported_once_when_it_begins_and_once_when_it_ends() -> None:
    heard: list[FaultChange] = []
    latch = FaultLatch(heard.append, "disk", subject="daily")

    for holds in (False, True, True, None, False, False, True):
        latch.update(holds, f"full: {holds}", free=0)

    assert [(c.key, c.active, c.detail) for c in heard] == [
        ("disk:daily", True, "full: True"),
        ("disk:daily", False, "full: False"),
        ("disk:daily", True, "full: True"),
    ]
    assert heard[0].figures == {"free": 0}
    assert latch.active
