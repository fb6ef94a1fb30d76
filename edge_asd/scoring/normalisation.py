"""Scorer kinds: each measures the distance to a reference with that reference's own gauge.

The score of embedding y against the bank of one domain is ::

    min over references x of  scale(x) * D(y, x) + offset(x)

and a kind is nothing but its choice of scale and offset, given the density rho(x)::

    dldn      scale = 1 / rho(x)    offset = 0                  GenRep 2025
    nearest   scale = 1             offset = 0                  plain nearest neighbour
    varmin    scale = 1             offset = -alpha * rho(x)    Matsumoto 2025

alpha = Cov(d, rho) / Var(rho) over the leave-one-out neighbours of the bank: d the distance
from a reference to its nearest other, rho the density of that other. It makes the variance
of the normal scores ``d - alpha * rho`` smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain, ScorerSpec
from edge_asd.errors import DataError
from edge_asd.scoring.density import Floats, Rows, lone_density, reference_density, removals

__all__ = ["Gauge", "Kind", "Nearest", "bank_gauges", "kind_of", "require_references"]

_EQUAL = 1e-9  # relative spread of densities that is rounding, and would make alpha arbitrary


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The references nearest to a query, the nearest first."""

    rows: NDArray[np.intp]  # (k,)
    distance: Floats  # (k,) measured


@dataclass(frozen=True, slots=True)
class Gauge:
    """Scale and offset of the distance to each reference; shape (..., n), float64."""

    scale: Floats
    offset: Floats

    def minimum(self, distance: Floats) -> Floats:
        """Return the smallest measured distance over the last axis."""
        return np.asarray((self.scale * distance + self.offset).min(axis=-1))

    def nearest(self, distance: Floats, k: int) -> Nearest:
        """Return the `k` references of least measured distance, from all distances (n,)."""
        measured = self.scale * distance + self.offset
        rows = np.argsort(measured, kind="stable")[:k]
        return Nearest(rows, measured[rows])


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to score."""

    alpha: Callable[[Rows, Domain, ScorerSpec], float]  # fitted once per bank
    gauge: Callable[[Floats, float], Gauge]  # of densities (..., n) and alpha


def kind_of(spec: ScorerSpec) -> Kind:
    """Return the kind of scorer that `spec` names."""
    return _KINDS[spec.kind]


def bank_gauges(banks: Mapping[Domain, Rows], spec: ScorerSpec) -> dict[Domain, Gauge]:
    """Return the gauges of the banks of one machine and branch.

    Parameters
    ----------
    banks : mapping of domain to (n_d, dim) float

    Raises
    ------
    DataError
        When there is no bank, or when one is empty or not finite.
    """
    require_references(banks)
    kind = kind_of(spec)
    return {
        domain: kind.gauge(
            reference_density(rows, domain, spec, lone=lone_density(banks, domain, spec)),
            kind.alpha(rows, domain, spec),
        )
        for domain, rows in banks.items()
    }


def require_references(banks: Mapping[Domain, Rows]) -> None:
    """Check that every bank holds rows of one width.

    Raises
    ------
    DataError
        When there is no bank, or a bank without rows, or two widths.
    """
    shapes = {domain: np.shape(rows) for domain, rows in banks.items()}
    widths = {shape[-1] for shape in shapes.values() if len(shape) == 2 and shape[0] > 0}
    if not shapes or any(len(s) != 2 or s[0] == 0 for s in shapes.values()) or len(widths) != 1:
        raise DataError(
            f"banks have the shapes {shapes}, expected (n, dim) with n of at least 1 and one dim"
        )


def _variance_minimising_alpha(references: Rows, domain: Domain, spec: ScorerSpec) -> float:
    distance, density = [], []
    for removal in removals(references, domain, spec):
        nearest = removal.distance.argmin(axis=1)[:, None]
        distance.append(np.take_along_axis(removal.distance, nearest, axis=1)[:, 0])
        density.append(np.take_along_axis(removal.density, nearest, axis=1)[:, 0])
    if len(references) < 3:  # with two, what remains has no neighbours: nothing to fit
        return 0.0
    d, rho = np.concatenate(distance), np.concatenate(density)
    if np.ptp(rho) <= _EQUAL * rho.max():
        return 0.0
    spread = rho - rho.mean()
    return float(spread @ d / (spread @ spread))


def _no_alpha(references: Rows, domain: Domain, spec: ScorerSpec) -> float:
    return 0.0


def _ratio(density: Floats, alpha: float) -> Gauge:
    return Gauge(1.0 / density, np.zeros_like(density))


def _difference(density: Floats, alpha: float) -> Gauge:
    return Gauge(np.ones_like(density), -alpha * density)


_KINDS: Mapping[str, Kind] = {
    "dldn": Kind(_no_alpha, _ratio),
    "nearest": Kind(_no_alpha, _ratio),  # its density is 1
    "varmin": Kind(_variance_minimising_alpha, _difference),
}
