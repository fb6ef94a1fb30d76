"""Low-rank adaptation of linear layers, and its end: merged into their weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["LowRank", "add_low_rank", "merge_low_rank"]


class LowRank(nn.Module):
    """A weight plus a trained product of two thin matrices; at first the weight itself.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, section 4.1.

    Parameters
    ----------
    n_out, n_in : shape of the weight
    rank : of the product
    alpha : the product is scaled by alpha / rank
    """

    def __init__(self, n_out: int, n_in: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(rank, n_in), a=5**0.5))
        self.up = nn.Parameter(torch.zeros(n_out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight (n_out, n_in)."""
        return weight + self.scale * torch.matmul(self.up, self.down)


def add_low_rank(module: nn.Module, names: Sequence[str], rank: int, alpha: float) -> None:
    """Give every linear layer below `module` that has one of these names a `LowRank`."""
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in names:
            adapter = LowRank(layer.out_features, layer.in_features, rank, alpha)
            parametrize.register_parametrization(layer, "weight", adapter)


def merge_low_rank(module: nn.Module) -> None:
    """Replace every adapted weight below `module` by its value."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
