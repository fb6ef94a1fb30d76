"""Classification losses: sub-cluster AdaCos of the FKIE network, ArcFace of the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ArcFace", "SubclusterAdaCos"]


class SubclusterAdaCos(nn.Module):
    """Cross-entropy over classes that each own several fixed random centres.

    Logits are the cosine to every sub-cluster centre times a scale that adapts to the
    batch; probabilities of a class are summed over its sub-clusters (Wilkinghoff,
    "Sub-cluster AdaCos: learning representations for anomalous sound detection", IJCNN
    2021; the scale is Zhang et al., "AdaCos", CVPR 2019, eq. 15 and 16). The centres are
    never trained: that keeps the space from collapsing onto the training classes.

    Parameters
    ----------
    n_classes : including those of mixed labels, when mixup has its own
    """

    centres: Tensor
    scale: Tensor

    def __init__(self, embedding_dim: int, n_classes: int, n_subclusters: int = 16) -> None:
        super().__init__()
        self.n_subclusters = n_subclusters
        n_centres = n_classes * n_subclusters
        centres = nn.init.xavier_uniform_(torch.empty(n_centres, embedding_dim))
        self.register_buffer("centres", functional.normalize(centres))
        initial = math.sqrt(2) * math.log(max(n_centres - 1, 2))
        self.register_buffer("scale", torch.tensor(initial))

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the mean loss of a batch.

        Parameters
        ----------
        embedding : (B, dim)
        label : (B, n_classes) soft labels, rows sum to one
        """
        cosine = functional.linear(functional.normalize(embedding), self.centres)
        cosine = cosine.unflatten(1, (-1, self.n_subclusters))  # (B, n_classes, n_subclusters)
        if self.training:
            self._adapt_scale(cosine.detach(), label)
        log_probability = functional.log_softmax(self.scale * cosine.flatten(1), dim=1)
        log_class = log_probability.unflatten(1, (-1, self.n_subclusters)).logsumexp(2)
        return -(label * log_class).sum(1).mean()

    @torch.no_grad()
    def _adapt_scale(self, cosine: Tensor, label: Tensor) -> None:
        angle = cosine.amax(2).clamp(-1, 1).acos()  # to the closest centre of each class
        median = (label * angle).sum(1).median().clamp(max=math.pi / 4)
        log_total = torch.logsumexp(self.scale * cosine.flatten(1), dim=1)  # (B,)
        log_mean = torch.logsumexp(log_total, dim=0) - math.log(len(cosine))
        self.scale.copy_(log_mean / median.cos())


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
