"""Published BEATs weights: read, checked down to the last tensor, and refused otherwise."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from edge_asd.errors import DataError, UsageError
from edge_asd_export.extractors.beats.architecture import Architecture
from edge_asd_export.extractors.beats.network import Beats
from edge_asd_export.extractors.beats.published_cfg import architecture_of, cfg_differences

__all__ = ["Checkpoint", "read_checkpoint"]

ADVICE = "give a file as published with BEATs, a dict of 'cfg' and 'model'"

# What torch raises at files of other kinds, damaged ones, and ones that would run code.
UNREADABLE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint file that holds what it should."""

    path: Path
    architecture: Architecture
    weights: Mapping[str, Tensor]

    def network(
        self,
        n_layers: int | None = None,
        *,
        predictor: bool = False,
        dropout: float = 0.0,
        layer_drop: float = 0.0,
    ) -> Beats:
        """Return a :class:`Beats` with these weights; those of what is not built are dropped.

        Raises
        ------
        UsageError
            When the file holds fewer layers.
        """
        available = self.architecture.n_layers
        if n_layers is not None and n_layers > available:
            raise UsageError(f"{self.path} has {available} layers, asked for layer {n_layers}")
        network = Beats(
            self.architecture,
            n_layers,
            predictor=predictor,
            dropout=dropout,
            layer_drop=layer_drop,
        )
        network.load_state_dict({key: self.weights[key] for key in network.state_dict()})
        return network


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the configuration and the weights of a published file.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is anything else; the message says what differs.
    """
    content = _load(path)
    cfg, weights = content.get("cfg"), content.get("model")
    if not isinstance(cfg, dict) or not isinstance(weights, dict):
        found = _some(list(content))
        raise DataError(f"{path} is not a BEATs checkpoint, it holds {found}: {ADVICE}")
    differences = cfg_differences(cfg)
    if differences:
        raise DataError(f"{path}: this BEATs is not supported, {'; '.join(differences)}: {ADVICE}")
    architecture = architecture_of(cfg)
    differences = _weight_differences(architecture, weights)
    if differences:
        raise DataError(
            f"{path}: the weights do not fit its cfg, {'; '.join(differences)}: {ADVICE}"
        )
    return Checkpoint(path, architecture, weights)


def _load(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise UsageError(f"no BEATs checkpoint at {path}: {ADVICE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused a moment later
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as a file of weights ({type(error).__name__}): {ADVICE}"
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} is not a BEATs checkpoint, it holds a {type(content).__name__}: {ADVICE}"
        )
    return content


def _weight_differences(architecture: Architecture, weights: Mapping[Any, Any]) -> list[str]:
    """What in a file's weights is not as its cfg says, in words."""
    with torch.device("meta"):
        network = Beats(architecture, predictor=architecture.n_classes is not None)
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    common = [key for key in expected if key in weights]
    no_weights = [key for key in common if not _is_weight(weights[key])]
    others = [
        key
        for key in common
        if key not in no_weights and tuple(weights[key].shape) != expected[key]
    ]
    found = {
        "missing": [key for key in expected if key not in weights],
        "unknown": [key for key in weights if key not in expected],
        "not of finite real numbers": no_weights,
    }
    differences = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in found.items() if keys]
    if others:
        first, wanted = tuple(weights[others[0]].shape), expected[others[0]]
        differences.append(
            f"{len(others)} of another shape ({_some(others)}), "
            f"the first {first} instead of {wanted}"
        )
    return differences or _table_differences(weights)


def _table_differences(weights: Mapping[str, Tensor]) -> list[str]:
    """All layers share one table of positions; the file repeats it under each."""
    tables = [value for key, value in weights.items() if "relative_attention_bias" in key]
    if all(torch.equal(table, tables[0]) for table in tables):
        return []
    return ["the layers have different tables of relative positions"]


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and bool(value.isfinite().all())


def _some(names: Sequence[object]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return f"{shown}, ..." if len(names) > 3 else shown or "nothing"
