"""Sizes of a BEATs network: those of a checkpoint file, or of a network of our own."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["FULL", "MINI", "Architecture"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What determines the shape of every weight, and of what is computed with them.

    Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", ICML 2023.
    """

    n_layers: int  # of the whole network: DeepNorm's constants follow from it
    dim: int  # of a token in the transformer
    ffn_dim: int
    n_heads: int
    patch_size: int  # frames, and mel bands
    patch_dim: int  # of a patch before it enters the transformer
    conv_kernel: int  # of the positional convolution, tokens
    conv_groups: int
    n_buckets: int  # of relative positions, both directions together
    max_distance: int  # tokens; all that are farther share a bucket
    n_classes: int | None  # of the predictor; None: there is none


# The published size. What differs from one published file to another is the predictor.
FULL = Architecture(
    n_layers=12,
    dim=768,
    ffn_dim=3072,
    n_heads=12,
    patch_size=16,
    patch_dim=512,
    conv_kernel=128,
    conv_groups=16,
    n_buckets=320,
    max_distance=800,
    n_classes=None,
)

# For training from scratch on a CPU: patches, heads and positions as published. A clip of
# 10 s costs 1.1 GFLOP forward; 550 of them forward and backward 46 s on one core of 80 GFLOP/s.
MINI = replace(
    FULL, n_layers=3, dim=128, ffn_dim=512, n_heads=2, patch_dim=128, conv_kernel=32, conv_groups=8
)
