"""The configuration in a published BEATs file: what it must say, and the sizes it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_asd_export.extractors.beats.architecture import Architecture
from edge_asd_export.extractors.beats.fbank import N_MELS

__all__ = ["architecture_of", "cfg_differences"]

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


def cfg_differences(cfg: Mapping[Any, Any]) -> list[str]:
    """What in a file's cfg is not as it should be, in words."""
    wanted = {
        key: repr(value)
        for key, value in REQUIRED.items()
        if type(cfg.get(key)) is not type(value) or cfg[key] != value
    }
    sizes = [*SIZES, *(["predictor_class"] if _is_finetuned(cfg) else [])]
    wanted |= {key: "a size" for key in sizes if type(cfg.get(key)) is not int or cfg[key] < 1}
    differences = [
        f"cfg {key!r} is {_shown(cfg[key])} instead of {value}" if key in cfg else f"no cfg {key!r}"
        for key, value in wanted.items()
    ]
    # The published code reads no other key. One that is off changes nothing here either.
    known = {*SIZES, *REQUIRED, *PREDICTOR, *TRAINING_ONLY}
    differences += [
        f"unknown cfg {key!r} is {_shown(value)}"
        for key, value in cfg.items()
        if key not in known and not (_is_plain(value) and not value)
    ]
    return differences or _size_differences(cfg)


def architecture_of(cfg: Mapping[str, Any]) -> Architecture:
    """Return the sizes in a cfg without differences."""
    sizes = {ours: cfg[theirs] for theirs, ours in SIZES.items()}
    return Architecture(**sizes, n_classes=cfg["predictor_class"] if _is_finetuned(cfg) else None)


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


def _is_finetuned(cfg: Mapping[Any, Any]) -> bool:
    return cfg.get("finetuned_model") is True


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _shown(value: object) -> str:
    return repr(value) if _is_plain(value) else f"a {type(value).__name__}"
