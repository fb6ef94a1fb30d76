"""Held-out scores: those that references would get if they had never been heard."""

from __future__ import annotations

import numpy as np
import pytest
from device.scorers import reference_scorer
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.density import Floats
from edge_asd.scoring.ensemble import KNOWN_TO_ALL, ReferenceSet, open_exact
from edge_asd.scoring.held_out import held_out_scores
from edge_asd.scoring.kinds import DldnSpec, NearestSpec, ReferenceSpec
from edge_asd.scoring.scorer import BankScorer, exact_scores, normalise_rows, window_queries

References = dict[Domain, ReferenceSet]
Queries = dict[Domain, NDArray[np.float32]]
Numbers = dict[Domain, NDArray[np.intp]]

DIM = 4
SPEC = DldnSpec(k_source=3, k_target=2)
ROUNDING = 1e-7  # float64 distances between float32 rows, over small densities


def references(n: int, members: int, seed: int, folds: NDArray[np.int8] | None = None):
    rng = np.random.default_rng(seed)
    found = ReferenceSet.known_to_all(normalise_rows(rng.standard_normal((n, members, DIM))))
    return found if folds is None else ReferenceSet(found.rows, folds)


def by_hand(
    own: References,
    groups: Numbers,
    domain: Domain,
    i: int,
    spec: ReferenceSpec,
) -> float:
    """Score of one reference, member by member, against what is left of the banks."""
    scores = []
    for member in range(own[domain].members):
        if own[domain].folds[i] not in (KNOWN_TO_ALL, member):
            continue
        banks = {}
        for other, some in own.items():
            kept = [
                some.rows[j, member]
                for j in range(len(some))
                if groups[other][j] != groups[domain][i] and some.folds[j] != member
            ]
            if kept:
                banks[other] = np.array(kept)
        scores.append(exact_scores(own[domain].rows[i, [member]], banks, spec)[0])
    return float(np.mean(scores))


@settings(max_examples=60, deadline=None)
@given(
    n_source=st.integers(2, 12),
    n_target=st.integers(1, 6),
    n_groups=st.integers(2, 4),
    kind=st.sampled_from(["dldn", "nearest", "varmin"]),
    seed=st.integers(0, 2**16),
)
def test_scores_of_one_network_are_those_of_a_loop(
    n_source: int, n_target: int, n_groups: int, kind: str, seed: int
) -> None:
    own: References = {
        "source": references(n_source, 1, seed),
        "target": references(n_target, 1, seed + 1),
    }
    groups: Numbers = {d: np.arange(len(some)) % n_groups for d, some in own.items()}
    spec = reference_scorer(kind, k_source=2, k_target=1, k_varmin=2)

    scores = held_out_scores(own, groups, spec)

    for domain, some in own.items():
        expected = [by_hand(own, groups, domain, i, spec) for i in range(len(some))]
        assert scores[domain] == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


@settings(max_examples=60, deadline=None)
@given(
    n_source=st.integers(6, 15),
    n_target=st.integers(0, 6),
    members=st.integers(2, 4),
    seed=st.integers(0, 2**16),
)
def test_of_an_ensemble_the_member_speaks_that_was_trained_without_a_reference(
    n_source: int, n_target: int, members: int, seed: int
) -> None:
    own: References = {
        "source": references(n_source, members, seed, (np.arange(n_source) % members).astype("i1"))
    }
    if n_target:
        own["target"] = references(
            n_target, members, seed + 1, (np.arange(n_target) % members).astype("i1")
        )
    groups = {domain: some.folds.astype(int) for domain, some in own.items()}

    scores = held_out_scores(own, groups, SPEC)

    for domain, some in own.items():
        expected = [by_hand(own, groups, domain, i, SPEC) for i in range(len(some))]
        assert scores[domain] == pytest.approx(expected, rel=ROUNDING)


def test_members_that_all_know_a_reference_or_none_speak_together() -> None:
    own: References = {"source": references(9, 3, 0)}
    groups: Numbers = {"source": np.arange(9) // 3}

    scores = held_out_scores(own, groups, SPEC)["source"]

    rest: References = {"source": own["source"].some(groups["source"] != 1)}
    scorer = BankScorer(open_exact(rest, SPEC))
    assert scores[4] == pytest.approx(scorer.score(own["source"].rows[4]), rel=ROUNDING)


def test_what_shares_sound_with_a_group_is_left_out_with_it() -> None:
    own: References = {"source": references(8, 1, 0)}
    shared = np.zeros((2, 8), bool)
    shared[0, 4] = True

    scores = held_out_scores(own, {"source": np.arange(8) // 4}, SPEC, shared={"source": shared})[
        "source"
    ]

    rows = own["source"].rows[:, 0]
    assert scores[:4] == pytest.approx(exact_scores(rows[:4], {"source": rows[5:]}, SPEC))
    assert scores[4:] == pytest.approx(exact_scores(rows[4:], {"source": rows[:4]}, SPEC))


@pytest.mark.parametrize("members", [1, 3])
def test_banks_that_share_no_sound_with_any_group_help(members: int) -> None:
    own: References = {"target": references(6, members, 0)}
    groups: Numbers = {"target": np.arange(6)}
    other = open_exact({"source": references(40, members, 1)}, SPEC)["source"]

    alone = held_out_scores(own, groups, SPEC)["target"]
    helped = held_out_scores(own, groups, SPEC, others=[other])["target"]

    assert (helped <= alone).all()
    assert (helped < alone).any()


def test_segments_are_scored_each_where_the_scorer_says_so() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((6, 3, DIM)).astype(np.float32)
    spec = NearestSpec(distance="cosine", average="scores")
    own: References = {
        "source": ReferenceSet.known_to_all(window_queries(embeddings, "embeddings"))
    }
    queries: Queries = {"source": window_queries(embeddings, "scores")}

    scores = held_out_scores(own, {"source": np.arange(6)}, spec, queries=queries)["source"]

    rest: References = {"source": own["source"].some(np.arange(6) != 2)}
    assert scores[2] == pytest.approx(
        BankScorer(open_exact(rest, spec), "scores").score(embeddings[2])
    )


@pytest.mark.parametrize(("n", "expected"), [(4, 4), (30, 10)])
def test_references_of_one_group_hold_out_each_other(n: int, expected: int) -> None:
    own: References = {"source": references(n, 1, 0)}
    one: Numbers = {"source": np.zeros(n, int)}
    stretches: Numbers = {"source": np.arange(n) * expected // n}

    scores = held_out_scores(own, one, SPEC)["source"]

    assert scores.tolist() == held_out_scores(own, stretches, SPEC)["source"].tolist()


def test_scores_are_higher_where_the_sound_of_one_time_is_left_out_whole() -> None:
    steps = np.random.default_rng(0).standard_normal((60, 8))
    wandering = normalise_rows(np.cumsum(steps, axis=0))[:, None]
    own: References = {"source": ReferenceSet.known_to_all(wandering)}

    def median(groups: NDArray[np.intp]) -> float:
        scores: Floats = held_out_scores(own, {"source": groups}, SPEC)["source"]
        return float(np.median(scores))

    assert median(np.arange(60) // 6) > 1.2 * median(np.arange(60))


def test_one_reference_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="record for longer"):
        held_out_scores({"source": references(1, 1, 0)}, {"source": np.zeros(1, int)}, SPEC)
