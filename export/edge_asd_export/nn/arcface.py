"""ArcFace: a classification loss that wants an angle between the classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ArcFace"]

# Least square of a sine: the root's slope stays finite, the margin's error below 1e-3.
SINE_FLOOR = 1e-7


class ArcFace(nn.Module):
    """Cross-entropy over scaled cosines to trained centres, the true one's angle enlarged.

    Deng et al., "ArcFace", CVPR 2019, eq. 3. Where the enlarged angle would exceed a half
    turn, the cosine goes down by ``margin * sin(margin)`` instead, so that it keeps falling
    with the angle (the authors' code).

    Parameters
    ----------
    scale : of the cosines
    margin : added to the angle to the true class, radians
    """

    def __init__(self, embedding_dim: int, n_classes: int, scale: float, margin: float) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_classes, embedding_dim)))

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the mean loss of a batch.

        Parameters
        ----------
        embedding : (B, dim)
        label : (B, n_classes) soft labels, rows sum to one
        """
        return functional.cross_entropy(self.logits(embedding, label), label)

    def logits(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Scaled cosines (B, n_classes), with the margin as far as a class is the true one."""
        cosine = functional.linear(
            functional.normalize(embedding.float()), functional.normalize(self.weight.float())
        )
        sine = (1 - cosine.square()).clamp(min=SINE_FLOOR).sqrt()
        shifted = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        lowered = cosine - self.margin * math.sin(self.margin)
        within_half_turn = cosine > math.cos(math.pi - self.margin)
        true = torch.where(within_half_turn, shifted, lowered)
        return self.scale * (label * true + (1 - label) * cosine)

    @property
    def centres(self) -> Tensor:
        """Directions of the classes (n_classes, dim), rows of unit norm."""
        return functional.normalize(self.weight.detach())
