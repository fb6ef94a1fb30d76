"""Self-attention with a gated bias of the relative position."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GatedAttention", "position_bias", "position_buckets"]

GATE_PARTS = 4  # values of the gate's projection that are summed to one


class GatedAttention(nn.Module):
    """Multi-head self-attention whose position bias each query scales.

    The gate is that of WavLM (Chen et al., 2022, section III-A), as BEATs uses it.

    Parameters
    ----------
    position_table : bias of each bucket and head; one table that all layers share
    """

    def __init__(self, dim: int, n_heads: int, position_table: nn.Embedding) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.relative_attention_bias = position_table
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)
        self.grep_linear = nn.Linear(dim // n_heads, 2 * GATE_PARTS)
        self.grep_a = nn.Parameter(torch.ones(1, n_heads, 1, 1))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map tokens (B, N, dim) and the position bias (n_heads, N, N) to (B, N, dim)."""
        n_tokens, dim = (int(n) for n in x.shape[1:])  # plain numbers: constants when exported
        head_dim = dim // self.n_heads
        query, key, value = (
            projection(x).reshape(-1, n_tokens, self.n_heads, head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )  # (B, n_heads, N, head_dim) each
        logits = torch.matmul(query * head_dim**-0.5, key.transpose(2, 3))
        logits = torch.addcmul(logits, self._gate(query), bias)
        weights = torch.softmax(logits, dim=3)  # (B, n_heads, N, N)
        attended = torch.matmul(weights, value).transpose(1, 2)
        return self.out_proj(attended.reshape(-1, n_tokens, dim))

    def _gate(self, query: Tensor) -> Tensor:
        """Factor of the bias (B, n_heads, N, 1), of the query before it is scaled."""
        # Sums of projections are projections by summed weights.
        weight = self.grep_linear.weight.reshape(2, GATE_PARTS, -1).sum(1)
        offset = self.grep_linear.bias.reshape(2, GATE_PARTS).sum(1)
        update, reset = functional.linear(query, weight, offset).sigmoid().chunk(2, dim=3)
        return update * (reset * self.grep_a - 1) + 2


def position_bias(table: nn.Embedding, n_tokens: int, max_distance: int) -> Tensor:
    """Bias (n_heads, N, N) of each query (rows) and key (columns), before the gate.

    It depends on the distance alone, so a graph needs to store only ``2 N`` values of each
    head. They are laid out as rows that each start one step earlier: `N` copies of a
    sequence of ``2 N`` values, read in pieces of ``2 N - 1``.
    """
    n_rows = int(n_tokens)
    # 0 to N-1, one that is never read, then -(N-1) to -1: what an index modulo 2N wants.
    distance = np.concatenate([np.arange(n_rows + 1), np.arange(1 - n_rows, 0)])
    buckets = position_buckets(distance, table.num_embeddings, max_distance)
    values = table(torch.from_numpy(buckets).to(table.weight.device)).T  # (n_heads, 2 N)
    n_heads, row = table.embedding_dim, 2 * n_rows - 1
    copies = values[:, None].expand(n_heads, n_rows, row + 1).reshape(n_heads, -1)
    return copies[:, : n_rows * row].reshape(n_heads, n_rows, row)[:, :, :n_rows]


def position_buckets(
    distance: NDArray[np.int64], n_buckets: int, max_distance: int
) -> NDArray[np.int64]:
    """Bucket of each distance (key minus query, in tokens): T5's, in both directions.

    Half of the buckets is for keys after the query. Of each half, the first half holds one
    distance each, the others grow with the logarithm up to `max_distance` (Raffel et al.,
    JMLR 2020, section 2.1). Float32, because the truncation of the published code is.
    """
    half = n_buckets // 2
    n_exact = half // 2
    near = np.abs(distance)
    ratio = np.maximum(near, n_exact).astype(np.float32) / np.float32(n_exact)
    steps = np.log(ratio) / np.float32(np.log(max_distance / n_exact)) * (half - n_exact)
    far = np.minimum(n_exact + steps.astype(np.int64), half - 1)
    return np.where(near < n_exact, near, far) + half * (distance > 0)
