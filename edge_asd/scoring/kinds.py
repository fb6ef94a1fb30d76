"""Kinds of scorer: how the embeddings of a window become the score of a branch.

A kind is one record, which is also what a bundle's manifest says of it, and one part of the
union :data:`ScorerSpec`. Kinds with references compare with memory banks; given the density
rho(x) around each reference x they choose a scale and an offset of the distance to it::

    dldn      scale = 1 / rho(x)    offset = 0                  GenRep 2025
    nearest   scale = 1             offset = 0                  plain nearest neighbour
    varmin    scale = 1             offset = -alpha * rho(x)    Matsumoto 2025

``output`` takes one number of the network's output as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from edge_asd.bundle.record import Domain, Record
from edge_asd.errors import DataError
from edge_asd.scoring.bank import ScoreNormalisation
from edge_asd.scoring.density import (
    NO_NEIGHBOUR,
    Distance,
    Floats,
    Neighbourhood,
    Rows,
    checked_rows,
    leave_one_out,
    reference_density,
)

__all__ = [
    "Banks",
    "DirectSpec",
    "DldnSpec",
    "NearestSpec",
    "OutputSpec",
    "ReferenceSpec",
    "ScorerSpec",
    "VarminSpec",
    "require_references",
]

Banks = Mapping[Domain, Rows]  # (n_d, dim) by domain
Neighbours = Annotated[int, Field(ge=1, le=10_000)]
Normaliser = Callable[[Floats], ScoreNormalisation]  # of densities (..., n)

_EQUAL = 1e-9  # relative spread of densities that is rounding, and would make alpha arbitrary
# Bundles were written with these keys in every scorer, those of other kinds meaning nothing.
_SHARED_KEYS = {
    *("output", "average", "distance", "aggregate"),
    *("k_source", "k_target", "k_varmin", "density_floor"),
}


class _Spec(Record):
    kind: str

    @model_validator(mode="before")
    @classmethod
    def _without_keys_of_other_kinds(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        foreign = _SHARED_KEYS - cls.model_fields.keys()
        return {key: value for key, value in raw.items() if key not in foreign}

    def require_width(self, embedding_dim: int) -> None:
        """Raise ValueError when embeddings of this width cannot be scored."""


class DirectSpec(_Spec, ABC):
    """A kind that scores an embedding by itself, without references."""

    @abstractmethod
    def scores(self, embeddings: Rows) -> Floats:
        """Return the anomaly score of each window, (...,), of its segments (..., n_segments, dim).

        Raises
        ------
        DataError
            When an embedding is not finite.
        """

    def score(self, embeddings: Rows) -> float:
        """Return the anomaly score of one window, (n_segments, dim)."""
        return float(self.scores(embeddings))


class ReferenceSpec(_Spec):
    """A kind that compares with the references of a machine, of each domain for itself."""

    # Of several segments: score their mean embedding, or average their scores.
    average: Literal["embeddings", "scores"] = "embeddings"
    distance: Distance = "euclidean"

    def neighbourhood(self, domain: Domain) -> Neighbourhood:
        """How the density around the references of a domain is measured; here not at all."""
        return Neighbourhood(0, self.distance)

    def fit(self, references: Rows, domain: Domain) -> Normaliser:
        """Return what makes scales and offsets of densities, once fitted to a whole bank.

        Here it divides by the density, which is 1 where none is measured.
        """
        return lambda rho: ScoreNormalisation(1.0 / rho, np.zeros_like(rho))

    def normalisations(self, banks: Banks) -> dict[Domain, ScoreNormalisation]:
        """Return the score normalisation of every reference of one machine and branch.

        Raises
        ------
        DataError
            When there is no bank, or when one is empty or not finite.
        """
        require_references(banks)
        return {
            domain: self.fit(rows, domain)(
                reference_density(
                    rows, self.neighbourhood(domain), lone=self.lone_density(banks, domain)
                )
            )
            for domain, rows in banks.items()
        }

    def lone_density(self, banks: Banks, domain: Domain) -> float:
        """Return the density to give a reference that is alone in the bank of `domain`.

        It borrows the median density of the machine's other bank, so that scores of the two
        domains share a scale; with no other bank of two or more, it is `NO_NEIGHBOUR`.
        """
        medians = [
            float(np.median(reference_density(rows, self.neighbourhood(other))))
            for other, rows in banks.items()
            if other != domain and len(rows) > 1
        ]
        return medians[0] if medians else NO_NEIGHBOUR


class NearestSpec(ReferenceSpec):
    """The distance to the nearest reference."""

    kind: Literal["nearest"] = "nearest"


class _DensitySpec(ReferenceSpec):
    """A kind that looks at how far the neighbours of a reference are."""

    aggregate: Literal["mean", "sum"] = "mean"
    density_floor: Annotated[float, Field(gt=0, le=10)] = (
        0.1  # fraction of the bank's median density
    )

    def _neighbourhood(self, k: int) -> Neighbourhood:
        return Neighbourhood(k, self.distance, self.aggregate, self.density_floor)


class DldnSpec(_DensitySpec):
    """The distance to a reference, over the density around it."""

    kind: Literal["dldn"] = "dldn"
    k_source: Neighbours = 16  # neighbours behind a density
    k_target: Neighbours = 9

    def neighbourhood(self, domain: Domain) -> Neighbourhood:
        return self._neighbourhood(self.k_source if domain == "source" else self.k_target)


class VarminSpec(_DensitySpec):
    """The distance to a reference, less a share of the density around it."""

    kind: Literal["varmin"] = "varmin"
    k_varmin: Neighbours = 4  # neighbours behind a density, in both domains

    def neighbourhood(self, domain: Domain) -> Neighbourhood:
        return self._neighbourhood(self.k_varmin)

    def fit(self, references: Rows, domain: Domain) -> Normaliser:
        alpha = self.alpha(references, domain)
        return lambda rho: ScoreNormalisation(np.ones_like(rho), -alpha * rho)

    def alpha(self, references: Rows, domain: Domain) -> float:
        """Return Cov(d, rho) / Var(rho) over the leave-one-out neighbours of a bank.

        d is the distance from a reference to its nearest other, rho the density of that
        other. This alpha makes the variance of the normal scores ``d - alpha * rho`` smallest.
        """
        distance, density = [], []
        for left_out in leave_one_out(references, self.neighbourhood(domain)):
            nearest = left_out.distance.argmin(axis=1)[:, None]
            distance.append(np.take_along_axis(left_out.distance, nearest, axis=1)[:, 0])
            density.append(np.take_along_axis(left_out.density, nearest, axis=1)[:, 0])
        if len(references) < 3:  # with two, what remains has no neighbours: nothing to fit
            return 0.0
        d, rho = np.concatenate(distance), np.concatenate(density)
        if np.ptp(rho) <= _EQUAL * rho.max():
            return 0.0
        spread = rho - rho.mean()
        return float(spread @ d / (spread @ spread))


class OutputSpec(DirectSpec):
    """One number of the network's output, averaged over the segments."""

    kind: Literal["output"] = "output"
    output: Annotated[int, Field(ge=0)] = 0  # which number

    def scores(self, embeddings: Rows) -> Floats:
        return np.asarray(checked_rows(embeddings)[..., self.output].mean(axis=-1))

    def require_width(self, embedding_dim: int) -> None:
        if self.output >= embedding_dim:
            raise ValueError(f"scores output {self.output}, its extractor has {embedding_dim}")


ScorerSpec = Annotated[
    DldnSpec | NearestSpec | VarminSpec | OutputSpec, Field(discriminator="kind")
]


def require_references(banks: Banks) -> None:
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
