"""Scorers by the name of their kind."""

from __future__ import annotations

from pydantic import TypeAdapter

from edge_asd.scoring.kinds import ReferenceSpec, ScorerSpec


def reference_scorer(kind: str = "dldn", **settings: object) -> ReferenceSpec:
    """A scorer with references; settings that its kind does not have are ignored."""
    spec = TypeAdapter(ScorerSpec).validate_python({"kind": kind, **settings})
    assert isinstance(spec, ReferenceSpec)
    return spec
