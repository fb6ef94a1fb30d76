"""What is trained and exported: BEATs up to one layer, pooling, embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_asd_export.extractors.beats.network import Beats

__all__ = ["AttentivePooling", "BeatsEncoder"]

BOTTLENECK = 48
VARIANCE_FLOOR = 1e-4


class BeatsEncoder(nn.Module):
    """Filter-bank frames in, one embedding out."""

    def __init__(self, backbone: Beats, embedding_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = AttentivePooling(backbone.dim)
        self.head = EmbeddingHead(backbone.dim, embedding_dim)
        self.embedding_dim = embedding_dim

    def forward(self, fbank: Tensor) -> Tensor:
        """Map frames (B, n_frames, 128) to embeddings (B, embedding_dim)."""
        embedding: Tensor = self.head(self.pooling(self.backbone(fbank)))
        return embedding


class AttentivePooling(nn.Module):
    """Weighted mean and deviation of the tokens, weights by token and channel.

    Attentive statistics pooling with the clip's own statistics as context (Desplanques et
    al., "ECAPA-TDNN", Interspeech 2020, section 3.1; widths and order as in ASDKit).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        # One layer over [token, mean, deviation]; the latter two are the same for every token.
        self.token = nn.Linear(dim, BOTTLENECK)
        self.context = nn.Linear(2 * dim, BOTTLENECK, bias=False)
        self.norm = nn.BatchNorm1d(BOTTLENECK)
        self.weigh = nn.Linear(BOTTLENECK, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, dim) to (B, 2 dim)."""
        n_tokens = int(tokens.shape[1])
        context = self.context(_statistics(tokens, 1 / n_tokens))  # (B, BOTTLENECK)
        hidden = torch.relu(self.token(tokens) + context[:, None])
        hidden = self.norm(hidden.transpose(1, 2)).tanh().transpose(1, 2)  # (B, N, BOTTLENECK)
        return _statistics(tokens, torch.softmax(self.weigh(hidden), dim=1))


class EmbeddingHead(nn.Sequential):
    """Pooled statistics (B, 2 dim) to embeddings (B, embedding_dim)."""

    def __init__(self, dim: int, embedding_dim: int) -> None:
        super().__init__(
            nn.BatchNorm1d(2 * dim),
            nn.Linear(2 * dim, dim),
            nn.BatchNorm1d(dim),
            nn.Linear(dim, embedding_dim),
        )


def _statistics(tokens: Tensor, weight: Tensor | float) -> Tensor:
    """Mean and deviation (B, 2 dim) of tokens (B, N, dim) under weights that sum to one."""
    mean = (weight * tokens).sum(1)
    variance = (weight * (tokens - mean[:, None]).square()).sum(1)
    return torch.cat([mean, variance.clamp(min=VARIANCE_FLOOR).sqrt()], dim=1)
