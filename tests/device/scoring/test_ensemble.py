"""Banks of an ensemble: every member compares with the references that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.bundle.manifest import BankSpec, Domain
from edge_asd.errors import BundleError, DataError
from edge_asd.scoring.bank import Bank, JoinedBank
from edge_asd.scoring.bank_files import open_banks, write_banks
from edge_asd.scoring.density import References
from edge_asd.scoring.ensemble import ReferenceSet, ReferenceSets, exact_bank, open_exact
from edge_asd.scoring.kinds import DldnSpec, ReferenceSpec, VarminSpec
from edge_asd.scoring.scorer import BankScorer, exact_scores, normalise_rows

DIM, MEMBERS = 8, 3
SPEC = DldnSpec(k_source=4, k_target=2)
ROUNDING = 1e-9  # float64 distances between float32 rows, relative


def rows(n: int, seed: int, members: int = MEMBERS) -> NDArray[np.float32]:
    return normalise_rows(np.random.default_rng(seed).standard_normal((n, members, DIM)))


def folds(n: int) -> NDArray[np.int8]:
    """Folds 0, 1, 2 and a reference that all members know."""
    return (np.arange(n) % (MEMBERS + 1) - 1).astype(np.int8)


@pytest.fixture
def references() -> dict[Domain, ReferenceSet]:
    return {
        "source": ReferenceSet(rows(20, 0), folds(20)),
        "target": ReferenceSet(rows(9, 1), folds(9)),
    }


def alone(references: ReferenceSets, member: int) -> dict[Domain, NDArray[np.float32]]:
    """What a member knows, as the banks of a single network."""
    return {d: own.rows[own.folds != member, member] for d, own in references.items()}


@pytest.mark.parametrize("spec", [SPEC, VarminSpec()])
def test_the_score_is_the_mean_of_what_each_member_says_alone(
    references: ReferenceSets, spec: ReferenceSpec
) -> None:
    window = rows(1, 5)[0]

    score = BankScorer(open_exact(references, spec)).score(3 * window)

    expected = [exact_scores(window[[b]], alone(references, b), spec)[0] for b in range(MEMBERS)]
    assert score == pytest.approx(np.mean(expected), rel=1e-6)  # the window is float32


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 12), members=st.integers(2, 5), seed=st.integers(0, 2**16))
def test_members_that_are_alike_and_know_everything_score_as_one(
    n: int, members: int, seed: int
) -> None:
    one: dict[Domain, ReferenceSet] = {"source": ReferenceSet.known_to_all(rows(n, seed, 1))}
    alike = ReferenceSet.known_to_all(np.repeat(one["source"].rows, members, axis=1))
    many: dict[Domain, ReferenceSet] = {"source": alike}
    window = rows(1, seed + 1, 1)[0]
    single, ensemble = (BankScorer(open_exact(own, SPEC)) for own in (one, many))

    assert ensemble.score(np.repeat(window, members, axis=0)) == pytest.approx(
        single.score(window), rel=1e-14
    )
    (nearest,) = ensemble.nearest(np.repeat(window, members, axis=0), 1)
    assert nearest.row == single.nearest(window, 1)[0].row


def test_neighbours_are_near_to_the_members_that_know_them(references: ReferenceSets) -> None:
    own, window = references["source"], rows(1, 5)[0]

    found = BankScorer(open_exact({"source": own}, SPEC)).nearest(window, 20)

    expected = np.full((MEMBERS, 20), np.nan)
    for b in range(MEMBERS):
        known = own.folds != b
        normalisation = SPEC.normalisations({"source": own.rows[known, b]})["source"]
        distance = References(own.rows[known, b], SPEC.distance).distances(window[[b]])[0]
        expected[b, known] = normalisation.scale * distance
    mean = np.nanmean(expected, axis=0)
    assert [one.row for one in found] == np.argsort(mean).tolist()
    assert [one.distance for one in found] == pytest.approx(np.sort(mean), rel=ROUNDING)


def test_a_member_that_knows_nothing_of_a_domain_uses_the_other() -> None:
    references: dict[Domain, ReferenceSet] = {
        "source": ReferenceSet(rows(6, 0), folds(6)),
        "target": ReferenceSet(rows(1, 1), np.array([2], np.int8)),
    }
    window = references["target"].rows[0]

    banks = open_exact(references, SPEC)

    assert banks["target"].minima(window).tolist() == [0.0, 0.0, np.inf]
    expected = exact_scores(window[[2]], {"source": alone(references, 2)["source"]}, SPEC)[0]
    assert BankScorer(banks).score(window) == pytest.approx(expected / MEMBERS, rel=ROUNDING)


def test_a_member_that_knows_nothing_at_all_is_refused() -> None:
    own = ReferenceSet(rows(4, 0), np.full(4, 1, np.int8))

    with pytest.raises(DataError, match="network 2 of an ensemble knows none"):
        open_exact({"source": own}, SPEC)


def test_taught_references_are_known_to_all_members(references: ReferenceSets) -> None:
    known = open_exact(references, SPEC)["target"]
    taught = rows(2, 7)
    more = exact_bank(taught, known.normalisation.typical(2), SPEC.distance)

    joined: Bank = JoinedBank([known, more])

    assert joined.members == MEMBERS
    assert len(joined) == 11
    assert joined.minima(taught[1]).tolist() == [0.0] * MEMBERS
    assert joined.nearest(taught[1], 1) == [(10, 0.0)]
    finite = np.where(np.isfinite(known.normalisation.offset), known.normalisation.scale, np.nan)
    assert more.normalisation.scale[:, 0] == pytest.approx(np.nanmedian(finite, axis=1))


def test_embeddings_of_another_number_of_networks_are_refused(references: ReferenceSets) -> None:
    scorer = BankScorer(open_exact(references, SPEC))

    with pytest.raises(DataError, match="3 networks was given 2 embeddings"):
        scorer.score(rows(1, 5)[0, :2])


def written(folder: Path, references: ReferenceSets) -> dict[Domain, BankSpec]:
    return write_banks(folder, "banks/fan/ltas@near", references, SPEC)


def test_written_banks_score_as_those_in_memory(tmp_path: Path, references: ReferenceSets) -> None:
    specs = written(tmp_path, references)
    window = rows(1, 5)[0]

    opened = BankScorer(open_banks(tmp_path, specs, SPEC, "hnsw", members=MEMBERS))

    assert opened.score(window) == BankScorer(open_exact(references, SPEC)).score(window)
    assert (specs["source"].dim, specs["source"].index) == (MEMBERS * DIM, None)
    assert sorted(specs["source"].paths) == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*source*.npy")
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(19, np.int8), r"does not hold the int8 array \(20,\)"),
        (np.zeros(20, np.int64), "does not hold the int8 array"),
        (np.full(20, MEMBERS, np.int8), "holds folds from 3 to 3, expected -1 to 2"),
        (np.full(20, -2, np.int8), "holds folds from -2 to -2, expected -1 to 2"),
        (np.full(20, 1, np.int8), "network 2 of an ensemble knows none of the references"),
    ],
)
def test_folds_that_cannot_be_are_refused(
    tmp_path: Path, references: ReferenceSets, array: NDArray[Any], message: str
) -> None:
    specs = written(tmp_path, {"source": references["source"]})
    np.save(tmp_path / str(specs["source"].folds_file), array)

    with pytest.raises(BundleError, match=message):
        open_banks(tmp_path, specs, SPEC, members=MEMBERS)
