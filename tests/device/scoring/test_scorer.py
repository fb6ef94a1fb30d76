"""Densities, score normalisation and exact scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from device.scorers import reference_scorer
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.bank import ExactBank, ScoreNormalisation
from edge_asd.scoring.density import SMALLEST_DENSITY, References
from edge_asd.scoring.density import reference_density as density_of
from edge_asd.scoring.kinds import DldnSpec, ReferenceSpec, VarminSpec
from edge_asd.scoring.scorer import BankScorer, exact_scores, normalise_rows

Floats = NDArray[np.float64]
Banks = Mapping[Domain, NDArray[Any]]
Numbers = tuple[float, ...]
Normaliser = Callable[[Floats], ScoreNormalisation]

PRINTED = 1e-6  # the worked example is printed with six decimals
ROUNDING = 1e-9  # float64 distances from inner products, relative

# The worked example: two banks in the plane, vectors taken as given.
BANKS: Banks = {
    "source": np.array([(0, 0), (1, 0), (0, 1), (3, 3)], dtype=float),
    "target": np.array([(6, 0), (6, 1), (7, 0)], dtype=float),
}
QUERIES = np.array([(0.5, 0.5), (6.5, 0.5), (4, 1)])
SOURCE_3D = np.array([(1, 0, 0), (0.9, 0.1, 0), (0.8, 0.2, 0.1), (0.7, 0.7, 0)])
TARGET_3D = np.array([(0, 0, 1), (0, 0.2, 1), (0.3, 0, 1)])
QUERIES_3D = np.array([(0.95, 0.05, 0), (0.1, 0.1, 1), (0.5, 0.5, 0.5)])


def spec(**settings: Any) -> ReferenceSpec:
    return reference_scorer(**{"k_source": 2, "k_target": 1, **settings})


def reference_density(
    rows: NDArray[Any], domain: Domain, settings: ReferenceSpec, **lone: float
) -> Floats:
    return density_of(rows, settings.neighbourhood(domain), **lone)


@pytest.mark.parametrize(
    ("distance", "aggregate", "rho_source", "source", "target", "score"),
    [
        (
            "euclidean", "sum", (2, 2.414214, 2.414214, 7.211103),
            (0.292893, 0.596464, 0.310087), (5.522681, 0.707107, 2.0),
            (0.292893, 0.596464, 0.310087),
        ),
        (
            "euclidean", "mean", (1, 1.207107, 1.207107, 3.605551),
            (0.585786, 1.192928, 0.620174), (5.522681, 0.707107, 2.0),
            (0.585786, 0.707107, 0.620174),
        ),
        (
            "squared-euclidean", "sum", (2, 3, 3, 26),
            (0.166667, 0.711538, 0.192308), (30.5, 0.5, 4.0), (0.166667, 0.5, 0.192308),
        ),
        (
            "squared-euclidean", "mean", (1, 1.5, 1.5, 13),
            (0.333333, 1.423077, 0.384615), (30.5, 0.5, 4.0), (0.333333, 0.5, 0.384615),
        ),
    ],
)  # fmt: skip
def test_dldn_gives_the_numbers_of_the_worked_example(
    distance: str,
    aggregate: str,
    rho_source: Numbers,
    source: Numbers,
    target: Numbers,
    score: Numbers,
) -> None:
    settings = spec(distance=distance, aggregate=aggregate)
    rho_target = reference_density(BANKS["target"], "target", settings)
    assert reference_density(BANKS["source"], "source", settings) == pytest.approx(
        rho_source, abs=PRINTED
    )
    assert rho_target == pytest.approx((1, 1, 1), abs=PRINTED)
    cases: tuple[tuple[Banks, Numbers], ...] = (
        ({"source": BANKS["source"]}, source),
        ({"target": BANKS["target"]}, target),
        (BANKS, score),
    )
    for banks, expected in cases:
        assert exact_scores(QUERIES, banks, settings) == pytest.approx(expected, abs=PRINTED)


def test_dldn_with_cosine_distance_gives_the_numbers_of_the_worked_example() -> None:
    settings = spec(distance="cosine")
    banks: Banks = {"source": SOURCE_3D, "target": TARGET_3D}
    # The example halves the distance: densities halve too, and ratios stay.
    assert reference_density(SOURCE_3D, "source", settings) / 2 == pytest.approx(
        (0.01075736, 0.00558279, 0.01328201, 0.09196866), abs=PRINTED
    )
    assert reference_density(TARGET_3D, "target", settings) / 2 == pytest.approx(
        (0.00970966, 0.00970966, 0.02108686), abs=PRINTED
    )
    assert exact_scores(QUERIES_3D, banks, settings) == pytest.approx(
        (0.064243, 0.497549, 0.997641), abs=PRINTED
    )


def test_nearest_gives_the_plain_distances_of_the_worked_example() -> None:
    settings = spec(kind="nearest")
    source = exact_scores(QUERIES, {"source": BANKS["source"]}, settings)
    target = exact_scores(QUERIES, {"target": BANKS["target"]}, settings)
    assert source == pytest.approx((0.707107, 4.301163, 2.236068), abs=PRINTED)
    assert target == pytest.approx((5.522681, 0.707107, 2.0), abs=PRINTED)


@pytest.mark.parametrize(
    ("k", "ratio", "difference"),
    [
        (1, (0.707107, 0.707107, 0.620174), (-0.292893, -0.292893, -1.369483)),
        (2, (0.585786, 0.585786, 0.620174), (-0.5, -0.5, -1.369483)),
    ],
)
def test_one_pooled_bank_is_local_density_normalisation(
    k: int, ratio: Numbers, difference: Numbers
) -> None:
    pooled = np.concatenate([BANKS["source"], BANKS["target"]])
    settings = spec(k_source=k)
    assert exact_scores(QUERIES, {"source": pooled}, settings) == pytest.approx(ratio, abs=PRINTED)
    varmin = spec(kind="varmin", k_varmin=k)
    rho = reference_density(pooled, "source", varmin)
    distance = References(pooled, varmin.distance).distances(QUERIES)
    assert ScoreNormalisation(np.ones_like(rho), -rho).minimum(distance) == pytest.approx(
        difference, abs=PRINTED
    )


def test_varmin_alpha_makes_the_variance_of_normal_scores_smallest() -> None:
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((60, 3)) * rng.uniform(0.2, 2, (60, 1))
    settings = VarminSpec()
    alpha = settings.alpha(bank, "source")
    nearest, density = [], []
    for i in range(len(bank)):
        rest = np.delete(bank, i, axis=0)
        distance = np.linalg.norm(rest - bank[i], axis=1)
        nearest.append(distance.min())
        density.append(reference_density(rest, "source", settings)[distance.argmin()])
    assert alpha == pytest.approx(np.polyfit(density, nearest, 1)[0], rel=ROUNDING)
    assert alpha > 0


def test_nearest_then_divide_misses_the_minimiser() -> None:
    # Far from a sparse reference is nearer, in its own measure, than near to a dense one.
    sparse = np.array([(0.0, 0.0), (8.0, 0.0)])
    dense = np.array([(5.0, 0.0), (5.0, 0.1), (5.0, -0.1)])
    banks: Banks = {"source": np.concatenate([sparse, dense])}
    settings = spec(k_source=1)
    query = np.array([(3.0, 0.0)])
    distance = np.linalg.norm(banks["source"] - query, axis=1)
    rho = reference_density(banks["source"], "source", settings)
    naive = distance[distance.argmin()] / rho[distance.argmin()]
    assert exact_scores(query, banks, settings)[0] == pytest.approx(3.0 / 5.0, rel=ROUNDING)
    assert naive == pytest.approx(2.0 / 0.1, rel=ROUNDING)


def test_k_is_capped_at_the_other_references_of_the_bank() -> None:
    few = reference_density(BANKS["target"], "target", spec(k_target=2))
    many = reference_density(BANKS["target"], "target", spec(k_target=9))
    assert np.array_equal(few, many)


def test_duplicates_are_given_the_floor_of_their_bank() -> None:
    bank = np.array([(0.0, 0.0), (0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (4.0, 4.0)])
    density = reference_density(bank, "source", spec(k_source=1, density_floor=0.25))
    assert density == pytest.approx((0.5, 0.5, 2, 2, 2), rel=ROUNDING)


def test_a_bank_of_duplicates_gives_zero_to_itself_and_finite_scores_to_others() -> None:
    rng = np.random.default_rng(3)
    same = normalise_rows(np.repeat(rng.standard_normal((1, 64)), 5, axis=0))
    other = normalise_rows(rng.standard_normal((1, 64)))
    settings = DldnSpec()
    assert np.all(reference_density(same, "source", settings) == SMALLEST_DENSITY)
    scores = exact_scores(np.concatenate([same[:1], other]), {"source": same}, settings)
    assert scores[0] == 0.0
    assert np.isfinite(scores[1]) and scores[1] > 1e5


def test_a_lone_reference_borrows_the_median_density_of_the_other_bank() -> None:
    banks: Banks = {"source": BANKS["source"], "target": np.array([(6.0, 0.0)])}
    median = np.median(reference_density(BANKS["source"], "source", spec()))
    assert spec().lone_density(banks, "target") == median
    assert exact_scores(np.array([(6.0, 1.0)]), banks, spec())[0] == pytest.approx(
        min(
            1 / median, exact_scores(np.array([(6.0, 1.0)]), {"source": BANKS["source"]}, spec())[0]
        )
    )


@pytest.mark.parametrize("kind", ["dldn", "nearest", "varmin"])
def test_a_lone_reference_without_another_bank_gives_the_plain_distance(kind: str) -> None:
    banks: Banks = {"target": np.array([(6.0, 0.0)])}
    assert exact_scores(np.array([(6.0, 2.0)]), banks, spec(kind=kind))[0] == pytest.approx(2.0)


def test_scores_rise_with_distance_from_the_bank() -> None:
    scores = exact_scores(np.array([(7.0, 7.0), (14.0, 14.0), (28.0, 28.0)]), BANKS, spec())
    assert np.all(np.diff(scores) > 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    bad = BANKS["source"].copy()
    bad[2, 1] = value
    with pytest.raises(DataError, match=r"1 of 4 embeddings are not finite, the first in row 2"):
        spec().normalisations({"source": bad})
    with pytest.raises(DataError, match="not finite"):
        exact_scores(bad, BANKS, spec())
    with pytest.raises(DataError, match="not finite"):
        normalise_rows(bad)


def test_an_embedding_without_direction_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 embeddings are all zeros"):
        normalise_rows(np.array([(0.0, 0.0), (1.0, 0.0)]))


@pytest.mark.parametrize(
    "banks",
    [{}, {"source": np.empty((0, 2))}, {**BANKS, "target": np.ones((3, 3))}],
    ids=["no bank", "an empty bank", "two widths"],
)
def test_banks_without_comparable_references_are_refused(banks: Banks) -> None:
    with pytest.raises(DataError, match="expected"):
        spec().normalisations(banks)


def test_scorer_normalises_the_embedding_and_takes_the_smaller_domain() -> None:
    banks = {domain: normalise_rows(rows + 1) for domain, rows in BANKS.items()}
    found = spec().normalisations(banks)
    scorer = BankScorer({d: ExactBank(banks[d], found[d], "euclidean") for d in banks})
    expected = exact_scores(normalise_rows(QUERIES), banks, spec())
    assert [scorer.score(3.0 * query[None]) for query in QUERIES] == pytest.approx(
        expected, rel=ROUNDING
    )


def test_scorer_refuses_an_embedding_of_another_encoder() -> None:
    normalisation = spec().normalisations({"source": SOURCE_3D})["source"]
    scorer = BankScorer({"source": ExactBank(SOURCE_3D, normalisation, "euclidean")})
    with pytest.raises(DataError, match="3 wide"):
        scorer.score(np.ones((1, 4)))
