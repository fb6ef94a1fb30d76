"""Exact search against the HNSW index: time of one query, recall, and cost of building.

Run it on the device in question, alone::

    python benchmarks/bank_search.py
    python benchmarks/bank_search.py --large --json > bank_search.json

The bank is made of unit vectors in clusters of different width, and scored by DLDN, so that
the nearest reference is often not the minimiser. Queries are references moved by about the
distance of their neighbours (``--reach``). One thread does everything.
"""

# ruff: noqa: E402 - the number of threads is fixed before numpy is imported

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Annotated

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge_asd.scoring.bank import Bank, ExactBank, ScoreNormalisation
from edge_asd.scoring.density import reference_density
from edge_asd.scoring.hnsw import HnswBank, build_index
from edge_asd.scoring.kinds import DldnSpec
from edge_asd.scoring.scorer import normalise_rows

SIZES = (1_000, 10_000, 20_000)
LARGE = 100_000
N_FACTORS = 12  # dimensions of one cluster
CLUSTER_ROWS = 500
SAME = 1e-9  # relative difference of equal minima


@dataclass(frozen=True, slots=True)
class Row:
    """One bank size."""

    n: int
    dim: int
    build_s: float  # of the index
    exact_us: float  # median of one query
    hnsw_us: float
    recall: float  # share of queries with the exact minimum
    nearest_then_divide: float  # share of queries that the naive method gets right
    excess: float  # largest ratio of a minimum from the index to the exact one

    @property
    def speed_up(self) -> float:
        """How many times faster the index is."""
        return self.exact_us / self.hnsw_us


def clustered(n: int, dim: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return unit rows in clusters and their densities, found within each cluster."""
    rng = np.random.default_rng(0)
    rows, density = [], []
    for _ in range(n // CLUSTER_ROWS):
        centre = normalise_rows(rng.standard_normal(dim))
        factors = rng.uniform(0.15, 0.6) * rng.standard_normal((N_FACTORS, dim))
        inside = rng.standard_normal((CLUSTER_ROWS, N_FACTORS)) @ factors
        rows.append(normalise_rows(centre + inside / np.sqrt(dim * N_FACTORS)))
        density.append(reference_density(rows[-1], DldnSpec().neighbourhood("source")))
    return np.concatenate(rows), np.concatenate(density)


def measure(n: int, dim: int, n_queries: int, reach: float) -> Row:
    """Return the figures of one bank size."""
    rows, density = clustered(n, dim)
    bank = ExactBank(rows, ScoreNormalisation(1.0 / density, np.zeros(n)), "euclidean")
    rng = np.random.default_rng(1)
    picked = rng.choice(n, n_queries)
    step = rng.standard_normal((n_queries, dim)) / np.sqrt(dim)
    queries = normalise_rows(rows[picked] + reach * density[picked, None] * step)
    start = time.perf_counter()
    index = build_index(bank)
    build_s = time.perf_counter() - start
    exact_us, exact = _timed(bank, queries)
    hnsw_us, found = _timed(HnswBank(bank, index), queries)
    nearest = (queries @ rows.T).argmax(axis=1)
    naive = np.linalg.norm(queries - rows[nearest], axis=1) / density[nearest]
    return Row(
        n=n,
        dim=dim,
        build_s=build_s,
        exact_us=exact_us,
        hnsw_us=hnsw_us,
        recall=float(np.mean(np.isclose(found, exact, rtol=SAME))),
        nearest_then_divide=float(np.mean(np.isclose(naive, exact, rtol=1e-4))),
        excess=float(np.max(np.divide(found, exact))),
    )


def _timed(bank: Bank, queries: NDArray[np.float32]) -> tuple[float, list[float]]:
    """Median time of a query in µs, and the minima."""
    times, minima = [], []
    for query in queries:
        start = time.perf_counter()
        minima.append(bank.minima(query[None])[0])
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times), minima


def _table(rows: list[Row]) -> Table:
    table = Table(title="one query of a bank, one thread, median")
    for column in ("references", "dim", "exact", "HNSW", "HNSW is", "recall",
                   "worst ratio", "nearest, then divide", "index built in"):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        ratio = row.speed_up
        speed = f"{ratio:.1f} × faster" if ratio >= 1 else f"{1 / ratio:.1f} × slower"
        table.add_row(
            f"{row.n:,}", f"{row.dim}", f"{row.exact_us:,.0f} µs", f"{row.hnsw_us:,.0f} µs",
            speed, f"{row.recall:.4f}", f"{row.excess:.3f}",
            f"{row.nearest_then_divide:.4f}", f"{row.build_s:.1f} s",
        )  # fmt: skip
    return table


def main(
    large: Annotated[bool, typer.Option("--large", help=f"Also {LARGE:,} references.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    dim: Annotated[int, typer.Option(help="Width of an embedding.", min=16)] = 256,
    reach: Annotated[
        float, typer.Option(help="Distance of a query from a reference, in densities.")
    ] = 1.2,
    queries: Annotated[int, typer.Option(help="Queries per bank size.", min=1)] = 500,
) -> None:
    """Compare exact search with the HNSW index over bank sizes."""
    progress = Console(stderr=True)
    rows = []
    for n in (*SIZES, LARGE) if large else SIZES:
        with progress.status(f"{n:,} references"):
            rows.append(measure(n, dim, queries, reach))
    if as_json:
        json.dump([asdict(row) | {"speed_up": row.speed_up} for row in rows], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        Console().print(_table(rows))


if __name__ == "__main__":
    typer.run(main)
