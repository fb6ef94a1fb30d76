"""Sub-cluster AdaCos, the auxiliary classification loss of the FKIE network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SubclusterAdaCos"]


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
