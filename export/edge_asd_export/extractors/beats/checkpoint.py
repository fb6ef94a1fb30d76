"""Published BEATs weights: read, checked down to the last tensor, and refused otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from edge_asd.errors import DataError, UsageError
from edge_asd_export.extractors.beats.architecture import Architecture
from edge_asd_export.extractors.beats.fbank import N_MELS
from edge_asd_export.extractors.beats.network import Beats

__all__ = ["Checkpoint", "read_checkpoint"]

ADVICE = "give a file as published with BEATs, a dict of 'cfg' and 'model'"

# The file's name of each size, and ours.
SIZES = {
    "encoder_layers": "n_layers",
    "encoder_embed_dim": "dim",
    "encoder_ffn_embed_dim": "ffn_dim",
    "encoder_attention_heads": "n_heads",
    "input_patch_size": "patch_size",
    "embed_dim": "patch_dim",
    "conv_pos": "conv_kernel",
    "conv_pos_groups": "conv_groups",
    "num_buckets": "n_buckets",
    "max_distance": "max_distance",
}

# The published code has other branches, which no published file takes.
REQUIRED: Mapping[str, object] = {
    "activation_fn": "gelu",
    "conv_bias": False,
    "deep_norm": True,
    "gru_rel_pos": True,
    "layer_norm_first": False,
    "relative_position_embedding": True,
}

PREDICTOR = ("finetuned_model", "predictor_class")

# How those weights were trained; a training of ours has settings of its own.
TRAINING_ONLY = {
    "activation_dropout",
    "attention_dropout",
    "dropout",
    "dropout_input",
    "encoder_layerdrop",
    "layer_wise_gradient_decay_ratio",
    "predictor_dropout",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint file that holds what it should."""

    path: Path
    architecture: Architecture
    weights: Mapping[str, Tensor]

    def network(self, n_layers: int | None = None, **options: Any) -> Beats:
        """Return the network with these weights; layers and predictor left out are dropped.

        Parameters
        ----------
        n_layers, options : of :class:`Beats`

        Raises
        ------
        UsageError
            When the file holds fewer layers.
        """
        available = self.architecture.n_layers
        if n_layers is not None and n_layers > available:
            raise UsageError(f"{self.path} has {available} layers, asked for layer {n_layers}")
        network = Beats(self.architecture, n_layers, **options)
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
        found = _some(sorted(map(str, content)))
        raise DataError(f"{path} is not a BEATs checkpoint, it holds {found}: {ADVICE}")
    differences = _cfg_differences(cfg)
    if differences:
        raise DataError(f"{path}: this BEATs is not supported, {'; '.join(differences)}: {ADVICE}")
    architecture = _architecture(cfg)
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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a file of weights ({type(error).__name__}): {ADVICE}"
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} is not a BEATs checkpoint, it holds a {type(content).__name__}: {ADVICE}"
        )
    return content


def _cfg_differences(cfg: Mapping[Any, Any]) -> list[str]:
    """What in a file's cfg is not as it should be, in words."""
    differences = [
        f"cfg {key!r} is {cfg[key]!r} instead of {value!r}" if key in cfg else f"no cfg {key!r}"
        for key, value in REQUIRED.items()
        if cfg.get(key) != value
    ]
    sizes = [*SIZES, *(["predictor_class"] if cfg.get("finetuned_model") else [])]
    for key in sizes:
        value = cfg.get(key)
        if type(value) is not int or value < 1:
            differences.append(
                f"cfg {key!r} is {value!r} instead of a size" if key in cfg else f"no cfg {key!r}"
            )
    # The published code reads no other key. One that is off changes nothing here either.
    known = {*SIZES, *REQUIRED, *PREDICTOR, *TRAINING_ONLY}
    differences += [
        f"unknown cfg {key!r} = {value!r}"
        for key, value in cfg.items()
        if key not in known and value
    ]
    return differences or _size_differences(cfg)


def _size_differences(cfg: Mapping[Any, Any]) -> list[str]:
    wholes = (
        ("encoder_embed_dim", "encoder_attention_heads"),
        ("encoder_embed_dim", "conv_pos_groups"),
    )
    differences = [
        f"cfg {whole!r} = {cfg[whole]} is no multiple of {part!r} = {cfg[part]}"
        for whole, part in wholes
        if cfg[whole] % cfg[part]
    ]
    if N_MELS % cfg["input_patch_size"]:
        differences.append(
            f"cfg 'input_patch_size' = {cfg['input_patch_size']} splits no 128 bands"
        )
    if cfg["num_buckets"] % 4 or cfg["max_distance"] <= cfg["num_buckets"] // 4:
        differences.append(
            f"cfg 'num_buckets' = {cfg['num_buckets']} does not go with "
            f"'max_distance' = {cfg['max_distance']}"
        )
    return differences


def _architecture(cfg: Mapping[str, Any]) -> Architecture:
    sizes = {ours: cfg[theirs] for theirs, ours in SIZES.items()}
    return Architecture(
        **sizes, n_classes=cfg["predictor_class"] if cfg.get("finetuned_model") else None
    )


def _weight_differences(architecture: Architecture, weights: Mapping[Any, Any]) -> list[str]:
    """What in a file's weights is not as its cfg says, in words."""
    with torch.device("meta"):
        network = Beats(architecture, predictor=architecture.n_classes is not None)
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    missing = [key for key in expected if key not in weights]
    unknown = [str(key) for key in weights if key not in expected]
    common = [key for key in expected if key in weights]
    no_weights = [key for key in common if not _is_weight(weights[key])]
    others = [
        f"{key} {tuple(weights[key].shape)} instead of {expected[key]}"
        for key in common
        if key not in no_weights and tuple(weights[key].shape) != expected[key]
    ]
    differences = [
        f"{len(names)} {what} ({_some(names)})"
        for names, what in (
            (missing, "missing"),
            (unknown, "unknown"),
            (no_weights, "not of finite real numbers"),
            (others, "of another shape"),
        )
        if names
    ]
    return differences or _table_differences(weights)


def _table_differences(weights: Mapping[str, Tensor]) -> list[str]:
    """All layers share one table of positions; the file repeats it under each."""
    tables = [value for key, value in weights.items() if "relative_attention_bias" in key]
    if all(torch.equal(table, tables[0]) for table in tables):
        return []
    return ["the layers have different tables of relative positions"]


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and bool(value.isfinite().all())


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown}, ..." if len(names) > 3 else shown or "nothing"
