"""Exact and indexed banks give the same minimum; an index in a bundle is never opened."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from device.scorers import reference_scorer
from numpy.typing import NDArray

from edge_asd.bundle.manifest import BankSpec, Domain, IndexSpec
from edge_asd.errors import BundleError, DataError
from edge_asd.scoring import hnsw
from edge_asd.scoring.bank import Bank, ExactBank, ScoreNormalisation
from edge_asd.scoring.bank_files import open_banks, write_banks
from edge_asd.scoring.density import Distance, References, reference_density
from edge_asd.scoring.ensemble import ReferenceSet
from edge_asd.scoring.hnsw import HnswBank, folds
from edge_asd.scoring.kinds import DldnSpec, VarminSpec
from edge_asd.scoring.scorer import exact_scores, normalise_rows

ROUNDING = 1e-9  # relative, of float64 distances between float32 rows
FOLDED = ["euclidean", "squared-euclidean", "cosine"]
DIM = 16
N_FACTORS = 12  # dimensions of one cluster
SPEC = DldnSpec()

Rows = NDArray[np.float32]
BankType = Callable[[Rows, ScoreNormalisation, Distance], Bank]


def clustered(
    n: int, dim: int, *, n_clusters: int = 40, seed: int = 0
) -> tuple[Rows, NDArray[np.intp]]:
    """Unit rows in clusters of different width, each of few dimensions; rows and clusters."""
    rng = np.random.default_rng(seed)
    centres = normalise_rows(rng.standard_normal((n_clusters, dim)))
    width = rng.uniform(0.15, 0.6, n_clusters)
    factors = rng.standard_normal((n_clusters, N_FACTORS, dim)) / np.sqrt(dim * N_FACTORS)
    cluster = rng.integers(0, n_clusters, n)
    inside = np.empty((n, dim))
    for c in range(n_clusters):
        of_cluster = cluster == c
        inside[of_cluster] = rng.standard_normal((of_cluster.sum(), N_FACTORS)) @ factors[c]
    return normalise_rows(centres[cluster] + width[cluster, None] * inside), cluster


def known(rows: Rows) -> ReferenceSet:
    """References (n, dim) of one network."""
    return ReferenceSet.known_to_all(rows[:, None])


def least(bank: Bank, query: Rows) -> float:
    return float(bank.minima(query[None])[0])


def indexed(rows: Rows, normalisation: ScoreNormalisation, distance: Distance) -> HnswBank:
    bank = ExactBank(rows, normalisation, distance)
    return HnswBank(bank, hnsw.build_index(bank))


class Written(NamedTuple):
    """A source bank of 300 references on disk."""

    folder: Path
    bank: BankSpec

    def open(self, search: Literal["auto", "exact", "hnsw"] = "auto") -> Bank:
        return open_banks(self.folder, {"source": self.bank}, SPEC, search)["source"]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    rows, _ = clustered(300, DIM)
    return Written(tmp_path, write_banks(tmp_path, "b", {"source": known(rows)}, SPEC)["source"])


@pytest.mark.timeout(600)  # 15 s of one core; minutes on a computer that does much else
def test_index_gives_the_exact_minimum_of_20000_references() -> None:
    spec = DldnSpec()
    rows, cluster = clustered(20_000, 128)
    rho = np.empty(len(rows))
    for c in range(40):  # neighbours share their cluster, so that is all there is to search
        rho[cluster == c] = reference_density(rows[cluster == c], spec.neighbourhood("source"))
    normalisation = ScoreNormalisation(1 / rho, np.zeros(len(rows)))
    step = np.random.default_rng(1).standard_normal((1000, 128)) / np.sqrt(128)
    queries = normalise_rows(rows[:1000] + 1.2 * rho[:1000, None] * step)
    distance = References(rows, spec.distance).distances(queries)
    expected = normalisation.minimum(distance)
    bank = indexed(rows, normalisation, spec.distance)
    found = bank.minima(queries)
    assert np.mean(np.isclose(found, expected, rtol=ROUNDING)) >= 0.999
    # Dividing at the raw neighbour fails on these queries: they do test the folding.
    naive = distance.min(axis=1) / rho[distance.argmin(axis=1)]
    assert np.mean(np.isclose(naive, expected, rtol=ROUNDING)) < 0.9


@pytest.mark.parametrize("distance", FOLDED)
@pytest.mark.parametrize("kind", ["dldn", "nearest"])
def test_index_equals_exact_search_for_every_distance(distance: str, kind: str) -> None:
    rows, _ = clustered(500, DIM)
    spec = reference_scorer(kind, distance=distance)
    normalisation = spec.normalisations({"source": rows})["source"]
    queries, _ = clustered(50, DIM, seed=1)
    bank, exact = (
        indexed(rows, normalisation, spec.distance),
        ExactBank(rows, normalisation, spec.distance),
    )
    assert bank.minima(queries) == pytest.approx(exact.minima(queries), rel=ROUNDING)


@pytest.mark.parametrize("bank_type", [ExactBank, indexed])
def test_the_nearest_references_come_in_the_order_of_measured_distance(
    bank_type: BankType,
) -> None:
    rows, _ = clustered(500, DIM)
    normalisation = SPEC.normalisations({"source": rows})["source"]
    query = clustered(1, DIM, seed=1)[0][0]
    measured = normalisation.scale * References(rows, SPEC.distance).distances(query[None])[0]
    bank = bank_type(rows, normalisation, SPEC.distance)

    found, distance = zip(*bank.nearest(query[None], 20), strict=True)

    np.testing.assert_array_equal(found, np.argsort(measured)[:20])
    np.testing.assert_allclose(distance, np.sort(measured)[:20], rtol=ROUNDING)
    assert len(bank) == 500


@pytest.mark.parametrize("bank_type", [ExactBank, indexed])
def test_a_small_bank_has_only_so_many_neighbours(bank_type: BankType) -> None:
    rows, _ = clustered(3, DIM)
    bank = bank_type(rows, SPEC.normalisations({"source": rows})["source"], SPEC.distance)

    assert sorted(row for row, _ in bank.nearest(rows[:1], 8)) == [0, 1, 2]


@pytest.mark.parametrize("distance", ["squared-euclidean", "cosine"])
def test_index_of_varmin_equals_exact_search_for_squared_distances(distance: str) -> None:
    rows, _ = clustered(500, DIM)
    spec = reference_scorer("varmin", distance=distance)
    normalisation = spec.normalisations({"source": rows})["source"]
    queries, _ = clustered(50, DIM, seed=1)
    bank, exact = (
        indexed(rows, normalisation, spec.distance),
        ExactBank(rows, normalisation, spec.distance),
    )
    assert normalisation.offset.any() and folds(exact)
    assert bank.minima(queries) == pytest.approx(exact.minima(queries), rel=ROUNDING)


def test_varmin_of_euclidean_distances_is_searched_exactly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, _ = clustered(300, DIM)
    spec = VarminSpec()
    banks = write_banks(tmp_path, "b", {"source": known(rows)}, spec)
    assert isinstance(open_banks(tmp_path, banks, spec, "hnsw")["source"], ExactBank)
    assert "no index" in caplog.text


@pytest.mark.parametrize("bank_type", [ExactBank, indexed])
def test_a_bank_of_one_and_a_bank_of_duplicates_can_be_searched(bank_type: BankType) -> None:
    spec = DldnSpec()
    one = normalise_rows(np.ones((1, DIM)))
    for rows in (one, np.repeat(one, 30, axis=0)):
        normalisation = spec.normalisations({"source": rows})["source"]
        assert least(bank_type(rows, normalisation, spec.distance), rows[0]) == 0.0


def test_an_index_that_finds_too_few_references_is_backed_by_exact_search() -> None:
    rows, _ = clustered(50, DIM)
    spec = DldnSpec()
    normalisation = spec.normalisations({"source": rows})["source"]

    class Disconnected:
        dim = 2 * DIM + 3

        def knn_query(self, *query: Any, **settings: Any) -> None:
            raise RuntimeError("Cannot return the results in a contiguous 2D array")

    exact = ExactBank(rows, normalisation, spec.distance)
    bank = HnswBank(exact, Disconnected())
    assert least(bank, -rows[0]) == pytest.approx(least(exact, -rows[0]), rel=ROUNDING)


@pytest.mark.parametrize("bank_type", [ExactBank, indexed])
@pytest.mark.parametrize(
    ("query", "message"),
    [(np.full(DIM, np.nan), "not finite"), (np.ones(DIM + 1), "16 wide"), (np.ones(3), "16 wide")],
)
def test_a_query_that_cannot_be_compared_is_refused(
    bank_type: BankType, query: NDArray[Any], message: str
) -> None:
    rows, _ = clustered(50, DIM)
    normalisation = DldnSpec().normalisations({"source": rows})["source"]
    with pytest.raises(DataError, match=message):
        least(bank_type(rows, normalisation, DldnSpec().distance), query)


def test_an_index_is_the_same_each_time_it_is_built(tmp_path: Path) -> None:
    rows, _ = clustered(300, DIM)
    bank = ExactBank(rows, SPEC.normalisations({"source": rows})["source"], SPEC.distance)
    for name in ("one", "two"):
        hnsw.build_index(bank).save_index(str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_index_of_low_recall_is_not_used(
    written: Written, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hnsw, "MIN_RECALL", 1.1)
    assert isinstance(written.open("hnsw"), ExactBank)
    assert "recall 1.0000, below" in caplog.text


def test_banks_are_searched_by_index_only_when_asked(written: Written) -> None:
    assert isinstance(written.open(), ExactBank)
    assert isinstance(written.open("hnsw"), HnswBank)


def test_the_index_of_an_old_bundle_is_never_read(written: Written) -> None:
    """Not even a file that claims room for one of 300 references, which hnswlib overflows."""
    (written.folder / "b.hnsw").symlink_to("/dev/zero")
    old = IndexSpec(
        file="b.hnsw", dim=35, n=1, m=32, ef_construction=200, ef_search=256, recall=1, n_queries=9
    )
    bank = written._replace(bank=written.bank.model_copy(update={"index": old}))
    query = clustered(1, DIM, seed=5)[0][0]
    expected = least(written.open(), query)
    for search in ("auto", "hnsw"):
        assert least(bank.open(search), query) == pytest.approx(expected, rel=ROUNDING)


def test_without_hnswlib_search_is_exact(
    written: Written, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    assert isinstance(written.open("auto"), ExactBank)
    assert not caplog.records  # a small bank never asks for it
    assert isinstance(written.open("hnsw"), ExactBank)
    assert "hnswlib is not installed" in caplog.text


def test_written_banks_score_as_those_in_memory(tmp_path: Path) -> None:
    rows, _ = clustered(60, DIM)
    banks: dict[Domain, Rows] = {"source": rows[:59], "target": rows[59:]}
    spec = DldnSpec()
    written = write_banks(tmp_path, "b", {d: known(own) for d, own in banks.items()}, spec)
    queries, _ = clustered(5, DIM, seed=4)
    opened = open_banks(tmp_path, written, spec).values()
    found = np.min([bank.minima(queries) for bank in opened], axis=0)
    assert found == pytest.approx(exact_scores(queries, banks, spec), rel=ROUNDING)


def test_a_bank_without_gauge_file_is_measured_when_it_is_opened(written: Written) -> None:
    query = clustered(1, DIM, seed=5)[0][0]
    bare = written._replace(bank=written.bank.model_copy(update={"gauge_file": None}))
    expected = least(written.open(), query)
    assert least(bare.open(), query) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((300, DIM + 1), np.float32), "does not hold the float32 array"),
        (np.zeros((300, DIM), np.float64), "does not hold the float32 array"),
        (np.full((300, DIM), np.nan, np.float32), "not finite"),
    ],
)
def test_a_bank_that_differs_from_the_manifest_is_refused(
    written: Written, array: NDArray[Any], message: str
) -> None:
    np.save(written.folder / written.bank.file, array)
    with pytest.raises(BundleError, match=message):
        written.open()


def test_a_bank_that_is_not_an_array_or_is_missing_is_refused(written: Written) -> None:
    path = written.folder / written.bank.file
    path.write_bytes(b"RIFF....WAVE")
    with pytest.raises(BundleError, match="cannot be read"):
        written.open()
    path.unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        written.open()


def test_a_gauge_that_is_not_positive_is_refused(written: Written) -> None:
    assert written.bank.gauge_file is not None
    np.save(written.folder / written.bank.gauge_file, np.zeros((300, 2)))
    with pytest.raises(BundleError, match="not positive"):
        written.open()


def test_writing_an_empty_bank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected"):
        write_banks(tmp_path, "b", {"source": known(np.empty((0, DIM), np.float32))}, DldnSpec())


@pytest.fixture(autouse=True)
def _see_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
