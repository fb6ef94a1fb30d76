"""Scorers by name."""

from __future__ import annotations

from collections.abc import Mapping

from edge_asd.manifest import ScorerSpec

__all__ = ["SCORERS"]

SCORERS: Mapping[str, ScorerSpec] = {
    "dldn-mean": ScorerSpec(),
    "dldn-sum": ScorerSpec(aggregate="sum"),
    "nearest": ScorerSpec(kind="nearest"),
    "varmin": ScorerSpec(kind="varmin"),
}
