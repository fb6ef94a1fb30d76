"""How fast each layer learns, and when."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["depth_of", "parameter_groups", "warm_up_then_cosine"]

_LAYER = re.compile(r"(?:.*\.)?backbone\.encoder\.layers\.(\d+)\.")


def parameter_groups(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    n_layers: int,
    learning_rate: float,
    lr_decay: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Return the optimiser's groups of all that is trained.

    What follows the last layer learns at `learning_rate`, each layer below it at
    `lr_decay` times the rate of the one above, and what precedes the first layer slowest
    (Clark et al., "ELECTRA", ICLR 2020). Only matrices decay: neither offsets nor gains.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if parameter.requires_grad:
            is_matrix = sum(n > 1 for n in parameter.shape) > 1
            groups.setdefault((depth_of(name, n_layers), is_matrix), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * lr_decay ** (n_layers + 1 - depth),
            "weight_decay": weight_decay if is_matrix else 0.0,
        }
        for (depth, is_matrix), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def depth_of(name: str, n_layers: int) -> int:
    """Depth of a parameter: 0 before the first layer, 1 to `n_layers`, one more behind."""
    layer = _LAYER.match(name)
    if layer:
        return int(layer[1]) + 1
    return 0 if "backbone." in name else n_layers + 1


def warm_up_then_cosine(optimizer: torch.optim.Optimizer, n_steps: int, warm_up: float) -> LambdaLR:
    """Return a schedule that rises in a line, then falls to zero along half a cosine.

    Parameters
    ----------
    n_steps : of the whole training
    warm_up : the share of them in which the rate rises
    """
    n_rising = max(1, round(warm_up * n_steps))

    def factor(step: int) -> float:
        if step < n_rising:
            return (step + 1) / n_rising
        progress = (step - n_rising) / max(1, n_steps - n_rising)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)
