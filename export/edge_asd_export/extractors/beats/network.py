"""The BEATs network; its state dict has the keys and shapes of the published files.

Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", ICML 2023. What the
published code does to keep half precision finite, and its multiplied gradients, change
nothing of what is computed and are left out.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_asd_export.extractors.beats.architecture import Architecture
from edge_asd_export.extractors.beats.attention import GatedAttention, position_bias

__all__ = ["Beats"]


class Beats(nn.Module):
    """Filter-bank frames in, tokens out.

    Parameters
    ----------
    architecture : of the whole network
    n_layers : how many of its layers are built, from the first; None: all
    predictor : whether the classifier of a fine-tuned network is built
    dropout : of what a layer adds to its input, while training
    layer_drop : probability that a clip skips a layer, while training
    """

    def __init__(
        self,
        architecture: Architecture,
        n_layers: int | None = None,
        *,
        predictor: bool = False,
        dropout: float = 0.0,
        layer_drop: float = 0.0,
    ) -> None:
        super().__init__()
        a = architecture
        self.dim = a.dim
        self.patch_size = a.patch_size
        self.patch_embedding = nn.Conv2d(1, a.patch_dim, a.patch_size, a.patch_size, bias=False)
        self.layer_norm = nn.LayerNorm(a.patch_dim)
        self.post_extract_proj = nn.Linear(a.patch_dim, a.dim)
        self.encoder = _Encoder(a, n_layers or a.n_layers, dropout, layer_drop)
        self.predictor = nn.Linear(a.dim, a.n_classes) if predictor and a.n_classes else None

    def forward(self, fbank: Tensor) -> Tensor:
        """Map frames (B, n_frames, 128) to tokens (B, n_tokens, dim) of the last layer built.

        Frames that do not fill a patch are dropped. The bands of a patch of time are
        neighbours in the sequence.
        """
        patches = self.patch_embedding(fbank[:, None])  # (B, patch_dim, n_times, n_bands)
        tokens = self.layer_norm(patches.flatten(2).transpose(1, 2))  # (B, n_tokens, patch_dim)
        return self.encoder(self.post_extract_proj(tokens))

    def class_logits(self, fbank: Tensor) -> Tensor:
        """Logits (B, n_classes) of the sound events that a fine-tuned network names."""
        if self.predictor is None:
            raise ValueError("this network was built without its predictor")
        return self.predictor(self(fbank)).mean(1)


class _Encoder(nn.Module):
    def __init__(
        self, architecture: Architecture, n_layers: int, dropout: float, layer_drop: float
    ) -> None:
        super().__init__()
        a = architecture
        self.max_distance = a.max_distance
        self.layer_drop = layer_drop
        self.pos_conv = nn.Sequential(_PositionalConv(a.dim, a.conv_kernel, a.conv_groups))
        self.layer_norm = nn.LayerNorm(a.dim)
        self.dropout = nn.Dropout(dropout)
        table = nn.Embedding(a.n_buckets, a.n_heads)
        nn.init.xavier_normal_(table.weight)
        self.layers = nn.ModuleList(_Layer(a, table, dropout) for _ in range(n_layers))

    @property
    def position_table(self) -> nn.Embedding:
        """Bias of each bucket and head; every layer has it, and the files list it under each."""
        return cast("_Layer", self.layers[0]).self_attn.relative_attention_bias

    def forward(self, tokens: Tensor) -> Tensor:
        position = self.pos_conv(tokens.transpose(1, 2)).transpose(1, 2)
        x = self.dropout(self.layer_norm(tokens + position))  # (B, N, dim)
        bias = position_bias(self.position_table, x.shape[1], self.max_distance)
        for layer in self.layers:
            y = layer(x, bias)
            if self.training and self.layer_drop:
                kept = torch.rand(len(x), 1, 1, device=x.device) >= self.layer_drop
                y = torch.where(kept, y, x)  # every weight keeps a gradient: processes agree
            x = y
        return x


class _PositionalConv(nn.Module):
    """Grouped convolution over the sequence with one gain for each tap, then GELU."""

    def __init__(self, dim: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        # A convolution that draws its neighbourhood's sum with unit variance.
        direction = torch.randn(dim, dim // groups, kernel) * (4 / (kernel * dim)) ** 0.5
        self.weight_v = nn.Parameter(direction)
        self.weight_g = nn.Parameter(_tap_norm(direction))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight_g * self.weight_v / _tap_norm(self.weight_v)
        n_taps = weight.shape[2]
        y = functional.conv1d(x, weight, self.bias, padding=n_taps // 2, groups=self.groups)
        # An even number of taps, padded on both sides alike, gives one value too many.
        return functional.gelu(y[:, :, : x.shape[2]])


class _Layer(nn.Module):
    """Attention and feed-forward network; DeepNorm weighs their inputs up by ``alpha``.

    Wang et al., "DeepNet: Scaling Transformers to 1,000 Layers", 2022, table 1: an encoder
    of L layers has alpha = (2 L)^(1/4) and starts with weights smaller by (8 L)^(-1/4).
    """

    def __init__(
        self, architecture: Architecture, position_table: nn.Embedding, dropout: float
    ) -> None:
        super().__init__()
        a = architecture
        self.alpha = (2 * a.n_layers) ** 0.25
        self.self_attn = GatedAttention(a.dim, a.n_heads, position_table)
        self.self_attn_layer_norm = nn.LayerNorm(a.dim)
        self.fc1 = nn.Linear(a.dim, a.ffn_dim)
        self.fc2 = nn.Linear(a.ffn_dim, a.dim)
        self.final_layer_norm = nn.LayerNorm(a.dim)
        self.dropout = nn.Dropout(dropout)
        self._initialise((8 * a.n_layers) ** -0.25)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map tokens (B, N, dim) and the position bias (n_heads, N, N) to (B, N, dim)."""
        attended = self.dropout(self.self_attn(x, bias))
        x = self.self_attn_layer_norm(self.alpha * x + attended)
        y = self.dropout(self.fc2(functional.gelu(self.fc1(x))))
        return self.final_layer_norm(self.alpha * x + y)

    def _initialise(self, beta: float) -> None:
        attention = self.self_attn
        for projection in (attention.q_proj, attention.k_proj):
            nn.init.xavier_normal_(projection.weight)
        for projection in (attention.v_proj, attention.out_proj, self.fc1, self.fc2):
            nn.init.xavier_normal_(projection.weight, gain=beta)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


def _tap_norm(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=(0, 1), keepdim=True)  # (1, 1, n_taps)
