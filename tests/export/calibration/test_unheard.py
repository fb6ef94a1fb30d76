"""Normal scores as those of sound that no network has heard."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_asd_export.calibration.unheard import PRIOR_TAKES, as_unheard

Floats = NDArray[np.float64]
BRANCH = "fkie@near"
N = 20


def as_new(
    normal: dict[str, Floats], unheard: dict[str, Floats], *, a_take: int = 2
) -> dict[str, Floats]:
    """What :func:`as_unheard` makes of one branch."""
    takes = {machine: np.arange(len(own)) // a_take for machine, own in normal.items()}
    found = as_unheard(
        {machine: {BRANCH: own} for machine, own in normal.items()},
        {machine: {BRANCH: own} for machine, own in unheard.items()},
        takes,
    )
    return {machine: np.asarray(own.scores[BRANCH]) for machine, own in found.items()}


@pytest.fixture
def normal() -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    return {machine: rng.gamma(9, 1 / 9, N) for machine in "ab"}


def first_clips(scores: Floats, n: int, factor: float) -> Floats:
    """Scores of the first clips by a factor higher; of the others, none."""
    return np.where(np.arange(len(scores)) < n, factor * scores, np.nan)


def test_clips_of_a_fold_have_their_own_scores(normal: dict[str, Floats]) -> None:
    unheard = {machine: first_clips(own, 4, 1.3) for machine, own in normal.items()}

    raised = as_new(normal, unheard)

    assert raised["a"][:4] == pytest.approx(1.3 * normal["a"][:4])


def test_other_clips_are_raised_by_the_excess(normal: dict[str, Floats]) -> None:
    unheard = {machine: first_clips(own, 4, 1.3) for machine, own in normal.items()}

    raised = as_new(normal, unheard)

    assert raised["b"][4:] == pytest.approx(1.3 * normal["b"][4:])


def test_the_excess_of_few_takes_is_drawn_towards_that_of_all_machines(
    normal: dict[str, Floats],
) -> None:
    unheard = {"a": first_clips(normal["a"], 4, 1.0), "b": first_clips(normal["b"], 4, 1.5)}

    raised = as_new(normal, unheard)

    weight = 2 / (2 + PRIOR_TAKES)
    expected = np.exp(np.log(1.5) * (1 - weight) / 2)
    assert raised["a"][4:] == pytest.approx(expected * normal["a"][4:])


def test_a_machine_of_which_nothing_was_held_out_gets_that_of_the_others(
    normal: dict[str, Floats],
) -> None:
    unheard = {"a": first_clips(normal["a"], 4, 1.2), "b": np.full(N, np.nan)}

    assert as_new(normal, unheard)["b"] == pytest.approx(1.2 * normal["b"])


def test_no_score_falls_by_the_excess(normal: dict[str, Floats]) -> None:
    unheard = {machine: first_clips(own, 4, 0.8) for machine, own in normal.items()}

    assert as_new(normal, unheard)["a"][4:] == pytest.approx(normal["a"][4:])


def test_scores_that_may_be_negative_are_raised_by_deviations() -> None:
    normal = {"a": np.linspace(-1, 1, N), "b": np.linspace(-100, 100, N)}
    unheard = {
        "a": np.where(np.arange(N) < 4, normal["a"] + 0.1, np.nan),
        "b": np.where(np.arange(N) < 4, normal["b"] + 10, np.nan),
    }

    raised = as_new(normal, unheard)

    assert raised["a"] == pytest.approx(normal["a"] + 0.1)
    assert raised["b"] == pytest.approx(normal["b"] + 10)


def test_scores_are_as_they_were_where_nothing_was_held_out(normal: dict[str, Floats]) -> None:
    nothing = {machine: {BRANCH: np.full(N, np.nan)} for machine in normal}
    takes = {machine: np.arange(N) for machine in normal}

    found = as_unheard({machine: {BRANCH: own} for machine, own in normal.items()}, nothing, takes)

    assert all(own.heard for own in found.values())
    assert found["a"].scores[BRANCH] == pytest.approx(normal["a"])
