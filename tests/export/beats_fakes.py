"""A BEATs file as it is published, of a network small enough for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edge_asd_export.extractors.beats.architecture import Architecture
from edge_asd_export.extractors.beats.network import Beats

CFG: dict[str, Any] = {
    "input_patch_size": 16, "embed_dim": 24, "conv_bias": False, "encoder_layers": 3,
    "encoder_embed_dim": 32, "encoder_ffn_embed_dim": 64, "encoder_attention_heads": 4,
    "activation_fn": "gelu", "layer_wise_gradient_decay_ratio": 0.6, "layer_norm_first": False,
    "deep_norm": True, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
    "encoder_layerdrop": 0.05, "dropout_input": 0.0, "conv_pos": 16, "conv_pos_groups": 4,
    "relative_position_embedding": True, "num_buckets": 32, "max_distance": 80,
    "gru_rel_pos": True, "finetuned_model": True, "predictor_dropout": 0.0, "predictor_class": 7,
}  # fmt: skip

TINY = Architecture(
    n_layers=3, dim=32, ffn_dim=64, n_heads=4, patch_size=16, patch_dim=24, conv_kernel=16,
    conv_groups=4, n_buckets=32, max_distance=80, n_classes=None,
)  # fmt: skip


def published(*, finetuned: bool = True) -> dict[str, Any]:
    """Content of a file as it is published, with random weights."""
    torch.manual_seed(0)
    network = Beats(replace(TINY, n_classes=7), predictor=finetuned)
    content: dict[str, Any] = {
        "cfg": {**CFG, "finetuned_model": finetuned},
        "model": {key: value.clone() for key, value in network.state_dict().items()},
    }
    return {**content, "label_dict": {0: "/m/09x0r"}} if finetuned else content


def write(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path
