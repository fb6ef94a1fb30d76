"""What the records of the bundle contract have in common: strict JSON, and numbers in range."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "LEAST_SCORE",
    "MOST_SCORE",
    "Domain",
    "HopSeconds",
    "Positive",
    "PositiveFloat",
    "Rate",
    "Record",
    "Score",
    "parsed_json",
]

Domain = Literal["source", "target"]
Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
PositiveFloat = Annotated[float, Field(gt=0, le=1e6)]
Rate = Annotated[float, Field(gt=0, lt=1)]  # share of windows
LEAST_SCORE, MOST_SCORE = -1e9, 1e9  # no kind of scorer comes near these
Score = Annotated[float, Field(ge=LEAST_SCORE, le=MOST_SCORE, allow_inf_nan=False)]
HopSeconds = Annotated[float, Field(ge=0.001, le=86_400)]


class Record(BaseModel):
    """Frozen; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def parsed_json(text: bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        When it is not JSON, names a key twice, or holds NaN or Infinity.
    RecursionError
        When it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_with_different_keys, parse_constant=_refused)


def _with_different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")
