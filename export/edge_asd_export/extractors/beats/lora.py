"""Low-rank adaptation of linear layers, and its end: merged into their weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LowRankLinear", "add_low_rank", "merge_low_rank"]


class LowRankLinear(nn.Module):
    """A linear layer plus a product of two thin matrices; at first the layer itself.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, section 4.1.

    Parameters
    ----------
    base : the layer that is adapted
    rank : of the product
    alpha : the product is scaled by alpha / rank
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        down = torch.empty(rank, base.in_features)
        self.down = nn.Parameter(nn.init.kaiming_uniform_(down, a=5**0.5))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        update = functional.linear(functional.linear(x, self.down), self.up)
        return self.base(x) + self.scale * update

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return the layer with the product added to its weight."""
        self.base.weight += self.scale * torch.matmul(self.up, self.down)
        return self.base


def add_low_rank(module: nn.Module, names: Sequence[str], rank: int, alpha: float) -> None:
    """Adapt every linear layer below `module` that has one of these names."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear) and name in names:
                setattr(parent, name, LowRankLinear(layer, rank, alpha))


def merge_low_rank(module: nn.Module) -> None:
    """Put plain linear layers in the place of all adapted ones below `module`."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LowRankLinear):
                setattr(parent, name, layer.merge())
