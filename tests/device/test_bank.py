"""Exact and indexed banks give the same minimum; a bad index is never opened."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_asd import bank as bank_module
from edge_asd import hnsw
from edge_asd.bank import ExactBank, open_bank, write_banks
from edge_asd.bundle import file_entry
from edge_asd.errors import BundleError, DataError
from edge_asd.gauge import Gauge, bank_gauges
from edge_asd.hnsw import HnswBank, folds
from edge_asd.manifest import ScorerSpec
from edge_asd.scorer import exact_scores, normalise_rows

ROUNDING = 1e-9  # relative, of float64 distances between float32 rows
FOLDED = ["euclidean", "squared-euclidean", "cosine"]
DIM = 16


def clustered(n, dim, *, n_clusters=40, seed=0, n_factors=12):
    """Unit rows around cluster centres, each cluster of another width; and their densities."""
    rng = np.random.default_rng(seed)
    centres = normalise_rows(rng.standard_normal((n_clusters, dim)))
    width = rng.uniform(0.15, 0.6, n_clusters)
    factors = rng.standard_normal((n_clusters, n_factors, dim)) / np.sqrt(dim)
    cluster = rng.integers(0, n_clusters, n)
    inside = np.empty((n, dim))
    for c in range(n_clusters):
        rows = cluster == c
        inside[rows] = (
            rng.standard_normal((rows.sum(), n_factors)) @ factors[c] / np.sqrt(n_factors)
        )
    return normalise_rows(centres[cluster] + width[cluster, None] * inside), width[cluster]


def indexed(rows, gauge, spec):
    return HnswBank(rows, gauge, spec, hnsw.open_index(rows, gauge, spec, Path(), None, {}))


@pytest.fixture
def bundle(tmp_path):
    """A written bank with an index: (folder, BankSpec, files, ScorerSpec)."""
    rows, _ = clustered(300, DIM)
    spec = ScorerSpec()
    bank = write_banks(tmp_path, "banks/fan/x@near", {"source": rows}, spec, index_from=1)["source"]
    files = {path: file_entry(tmp_path / path) for path in bank.paths}
    return tmp_path, bank, files, spec


@pytest.fixture
def loads(monkeypatch):
    """Paths that hnswlib was asked to load."""
    paths = []

    class Spy:
        def __init__(self, index):
            self._index = index

        def __getattr__(self, name):
            if name == "load_index":
                return self._load
            return getattr(self._index, name)

        def _load(self, path, **settings):
            paths.append(path)
            self._index.load_index(path, **settings)

    create = hnsw._new_index
    monkeypatch.setattr(hnsw, "_new_index", lambda dim: Spy(create(dim)))
    return paths


def test_index_gives_the_exact_minimum_of_20000_references():
    rows, width = clustered(20_000, 128)
    rng = np.random.default_rng(1)
    # Densities as they are in clusters of different width, without 20,000^2 distances.
    rho = width * rng.lognormal(0.0, 0.15, len(rows))
    gauge = Gauge(1 / rho, np.zeros(len(rows)))
    spec = ScorerSpec()
    step = 0.3 * width[:1000, None] * rng.standard_normal((1000, 128)) / np.sqrt(128)
    queries = normalise_rows(rows[:1000] + step)
    exact = ExactBank(rows, gauge, spec)
    bank = indexed(rows, gauge, spec)
    expected = np.array([exact.minimum(query) for query in queries])
    found = np.array([bank.minimum(query) for query in queries])
    raw_nearest = np.argmax(queries @ rows.T, axis=1)
    assert np.mean(np.isclose(found, expected, rtol=ROUNDING)) >= 0.999
    # The set is a test of the folding: dividing at the raw neighbour fails on it.
    naive = np.linalg.norm(queries - rows[raw_nearest], axis=1) / rho[raw_nearest]
    assert np.mean(np.isclose(naive, expected, rtol=1e-3)) < 0.9


@pytest.mark.parametrize("distance", FOLDED)
@pytest.mark.parametrize("kind", ["dldn", "nearest"])
def test_index_equals_exact_search_for_every_distance(distance, kind):
    rows, _ = clustered(500, DIM)
    spec = ScorerSpec(kind=kind, distance=distance)
    gauge = bank_gauges({"source": rows}, spec)["source"]
    queries, _ = clustered(50, DIM, seed=1)
    bank, exact = indexed(rows, gauge, spec), ExactBank(rows, gauge, spec)
    found = [bank.minimum(query) for query in queries]
    assert found == pytest.approx([exact.minimum(query) for query in queries], rel=ROUNDING)


@pytest.mark.parametrize("distance", ["squared-euclidean", "cosine"])
def test_index_of_varmin_equals_exact_search_for_squared_distances(distance):
    rows, _ = clustered(500, DIM)
    spec = ScorerSpec(kind="varmin", distance=distance)
    gauge = bank_gauges({"source": rows}, spec)["source"]
    queries, _ = clustered(50, DIM, seed=1)
    bank, exact = indexed(rows, gauge, spec), ExactBank(rows, gauge, spec)
    assert gauge.offset.any() and folds(gauge, spec)
    found = [bank.minimum(query) for query in queries]
    assert found == pytest.approx([exact.minimum(query) for query in queries], rel=ROUNDING)


def test_varmin_of_euclidean_distances_is_searched_exactly(tmp_path, caplog):
    rows, _ = clustered(300, DIM)
    spec = ScorerSpec(kind="varmin")
    bank = write_banks(tmp_path, "b", {"source": rows}, spec, index_from=1)["source"]
    assert bank.index is None
    assert "no index" in caplog.text
    assert isinstance(open_bank(tmp_path, bank, "source", spec, {}, "hnsw"), ExactBank)


@pytest.mark.parametrize("bank_type", [ExactBank, indexed])
def test_a_bank_of_one_and_a_bank_of_duplicates_can_be_searched(bank_type):
    spec = ScorerSpec()
    one = normalise_rows(np.ones((1, DIM)))
    for rows in (one, np.repeat(one, 30, axis=0)):
        gauge = bank_gauges({"source": rows}, spec)["source"]
        assert bank_type(rows, gauge, spec).minimum(rows[0]) == 0.0


def test_an_index_that_finds_too_few_references_is_backed_by_exact_search():
    rows, _ = clustered(50, DIM)
    spec = ScorerSpec()
    gauge = bank_gauges({"source": rows}, spec)["source"]

    class Disconnected:
        dim = hnsw.folded_dim(DIM)

        def knn_query(self, *query, **settings):
            raise RuntimeError("Cannot return the results in a contiguous 2D array")

    bank, exact = HnswBank(rows, gauge, spec, Disconnected()), ExactBank(rows, gauge, spec)
    assert bank.minimum(-rows[0]) == pytest.approx(exact.minimum(-rows[0]), rel=ROUNDING)


@pytest.mark.parametrize("bank_type", [ExactBank, indexed])
@pytest.mark.parametrize(
    ("query", "message"),
    [(np.full(DIM, np.nan), "not finite"), (np.ones(DIM + 1), "16 wide"), (np.ones(3), "16 wide")],
)
def test_a_query_that_cannot_be_compared_is_refused(bank_type, query, message):
    rows, _ = clustered(50, DIM)
    gauge = bank_gauges({"source": rows}, ScorerSpec())["source"]
    with pytest.raises(DataError, match=message):
        bank_type(rows, gauge, ScorerSpec()).minimum(query)


def test_an_index_is_the_same_each_time_it_is_built(bundle, tmp_path):
    folder, bank, files, spec = bundle
    rows, _ = clustered(300, DIM)
    again = write_banks(tmp_path / "again", "b", {"source": rows}, spec, index_from=1)["source"]
    assert file_entry(tmp_path / "again" / again.index.file) == files[bank.index.file]


def test_recall_is_measured_when_an_index_is_built(tmp_path):
    rows, _ = clustered(300, DIM)
    held_out, _ = clustered(40, DIM, seed=2)
    bank = write_banks(
        tmp_path, "b", {"source": rows}, ScorerSpec(), held_out=held_out, index_from=1
    )["source"]
    assert bank.index.n_queries == 300 + 40
    assert bank.index.recall == 1.0
    assert (bank.index.n, bank.index.dim) == (300, hnsw.folded_dim(DIM))


def test_an_index_of_low_recall_is_left_out(tmp_path, monkeypatch, caplog):
    rows, _ = clustered(300, DIM)
    monkeypatch.setattr(bank_module, "MIN_RECALL", 1.1)
    bank = write_banks(tmp_path, "b", {"source": rows}, ScorerSpec(), index_from=1)["source"]
    assert bank.index is None
    assert not list(tmp_path.rglob("*.hnsw"))
    assert "is below" in caplog.text


def test_a_sound_index_is_loaded_and_searched_with_its_ef(bundle, loads, caplog):
    folder, bank, files, spec = bundle
    opened = open_bank(folder, bank, "source", spec, files, "hnsw")
    assert isinstance(opened, HnswBank)
    assert loads == [str(folder / bank.index.file)]
    assert opened._index.ef == bank.index.ef_search
    assert not caplog.records


def _flip_a_byte(folder, bank, files):
    path = folder / bank.index.file
    data = bytearray(path.read_bytes())
    data[0] ^= 0xFF
    path.write_bytes(bytes(data))
    return bank, files


def _truncate(folder, bank, files):
    path = folder / bank.index.file
    path.write_bytes(path.read_bytes()[:1000])
    return bank, files


def _remove(folder, bank, files):
    (folder / bank.index.file).unlink()
    return bank, files


def _other_dim(folder, bank, files):
    index = bank.index.model_copy(update={"dim": bank.index.dim + 1})
    return bank.model_copy(update={"index": index}), files


def _other_count(folder, bank, files):
    index = bank.index.model_copy(update={"n": bank.index.n - 1})
    return bank.model_copy(update={"index": index}), files


def _no_digest(folder, bank, files):
    return bank, {}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_flip_a_byte, "its sha256 is"),
        (_truncate, "it has 1000 bytes"),
        (_remove, "no such file"),
        (_other_dim, "300 vectors of 36"),
        (_other_count, "299 vectors of 35"),
        (_no_digest, "no digest"),
    ],
)
def test_a_bad_index_is_refused_before_it_is_loaded_and_built_again(
    bundle, loads, caplog, damage, reason
):
    folder, bank, files, spec = bundle
    query = clustered(1, DIM, seed=5)[0][0]
    expected = open_bank(folder, bank, "source", spec, files, "exact").minimum(query)
    opened = open_bank(folder, *_swap(damage(folder, bank, files), spec), "hnsw")
    assert loads == []
    assert isinstance(opened, HnswBank)
    assert opened.minimum(query) == pytest.approx(expected, rel=ROUNDING)
    assert reason in caplog.text and "building it again" in caplog.text


def _swap(damaged, spec):
    bank, files = damaged
    return bank, "source", spec, files


def test_auto_searches_a_small_bank_exactly_and_a_large_one_by_index(bundle, monkeypatch):
    folder, bank, files, spec = bundle
    assert isinstance(open_bank(folder, bank, "source", spec, files), ExactBank)
    monkeypatch.setattr(bank_module, "EXACT_BELOW", bank.n)
    assert isinstance(open_bank(folder, bank, "source", spec, files), HnswBank)
    bare = bank.model_copy(update={"index": None})
    assert isinstance(open_bank(folder, bare, "source", spec, files), ExactBank)


def test_without_hnswlib_search_is_exact(bundle, monkeypatch, caplog):
    folder, bank, files, spec = bundle
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    assert isinstance(open_bank(folder, bank, "source", spec, files, "hnsw"), ExactBank)
    assert "hnswlib is not installed" in caplog.text


def test_written_banks_score_as_those_in_memory(tmp_path):
    rows, _ = clustered(60, DIM)
    banks = {"source": rows[:59], "target": rows[59:]}
    spec = ScorerSpec()
    written = write_banks(tmp_path, "b", banks, spec)
    queries, _ = clustered(5, DIM, seed=4)
    opened = [open_bank(tmp_path, bank, domain, spec, {}) for domain, bank in written.items()]
    found = [min(bank.minimum(query) for bank in opened) for query in queries]
    assert found == pytest.approx(exact_scores(queries, banks, spec), rel=ROUNDING)


def test_a_bank_without_gauge_file_is_measured_when_it_is_opened(bundle):
    folder, bank, files, spec = bundle
    query = clustered(1, DIM, seed=5)[0][0]
    bare = bank.model_copy(update={"gauge_file": None})
    assert open_bank(folder, bare, "source", spec, files).minimum(query) == pytest.approx(
        open_bank(folder, bank, "source", spec, files).minimum(query), rel=ROUNDING
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((300, DIM + 1), np.float32), "does not hold the float32 array"),
        (np.zeros((300, DIM), np.float64), "does not hold the float32 array"),
        (np.full((300, DIM), np.nan, np.float32), "not finite"),
    ],
)
def test_a_bank_that_differs_from_the_manifest_is_refused(bundle, array, message):
    folder, bank, files, spec = bundle
    np.save(folder / bank.file, array)
    with pytest.raises(BundleError, match=message):
        open_bank(folder, bank, "source", spec, files)


def test_a_bank_that_is_missing_or_not_an_array_is_refused(bundle):
    folder, bank, files, spec = bundle
    (folder / bank.file).write_bytes(b"RIFF....WAVE")
    with pytest.raises(BundleError, match="cannot be read"):
        open_bank(folder, bank, "source", spec, files)
    (folder / bank.file).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        open_bank(folder, bank, "source", spec, files)


def test_a_gauge_that_is_not_positive_is_refused(bundle):
    folder, bank, files, spec = bundle
    np.save(folder / bank.gauge_file, np.zeros((300, 2)))
    with pytest.raises(BundleError, match="not positive"):
        open_bank(folder, bank, "source", spec, files)


def test_writing_an_empty_bank_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected"):
        write_banks(tmp_path, "b", {"source": np.empty((0, DIM), np.float32)}, ScorerSpec())


@pytest.fixture(autouse=True)
def _see_the_log(caplog):
    caplog.set_level(logging.WARNING)
