"""What is trained and exported: BEATs up to one layer, pooling, embedding."""

from __future__ import annotations

from torch import Tensor, nn

from edge_asd_export.extractors.beats.network import Beats
from edge_asd_export.extractors.beats.pooling import AttentivePooling, EmbeddingHead

__all__ = ["BeatsEncoder"]


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
