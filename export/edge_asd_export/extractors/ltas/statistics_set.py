"""Statistics of spectra as training items, computed once and kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from edge_asd.audio.decode import read_audio
from edge_asd.audio.view import VIEWS
from edge_asd.scoring.extractor import fit_length
from edge_asd_export.training.training_set import EpochDataset, Item, OnItem, ignore

__all__ = ["StatisticsSet", "read_statistics", "stretched"]


class StatisticsSet(EpochDataset):
    """Statistics of each item, and its class and fold; the same in every epoch.

    Parameters
    ----------
    statistics : (n, N_STATISTICS, N_BINS) float32
    labels : (n, 2) class number and fold
    """

    def __init__(self, statistics: Tensor, labels: Tensor) -> None:
        self.statistics = statistics
        self._labels = labels

    def set_epoch(self, epoch: int) -> None:
        """Do nothing."""

    def __len__(self) -> int:
        return len(self.statistics)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.statistics[index], self._labels[index]


def read_statistics(
    items: Sequence[Item],
    statistics: Callable[[Tensor], Tensor],
    n_samples: int,
    on_item: OnItem = ignore,
) -> StatisticsSet:
    """Return the set of some items; those of a clip follow each other.

    Parameters
    ----------
    statistics : maps audio (B, 1, n_samples) to (B, N_STATISTICS, N_BINS)
    n_samples : clips are tiled or cut to, as a device does with its windows
    """
    rows: list[Tensor] = []
    for clip, group in groupby(items, key=lambda item: item.clip):
        own = list(group)
        audio, _ = read_audio(clip.path)
        views = list(dict.fromkeys(item.view for item in own))
        windows = np.stack([fit_length(VIEWS[view].apply(audio), n_samples) for view in views])
        by_view = dict(zip(views, statistics(torch.from_numpy(windows)).cpu(), strict=True))
        rows += [stretched(by_view[item.view], item.warp) for item in own]
        on_item(len(rows), len(items))
    labels = torch.tensor([(item.label, item.fold) for item in items])
    return StatisticsSet(torch.stack(rows), labels)


def stretched(statistics: Tensor, factor: float) -> Tensor:
    """Return statistics (..., N_BINS) with every frequency times a factor.

    Between bins they are interpolated; beyond the last one its value stays.
    """
    if factor == 1.0:
        return statistics
    n_bins = statistics.shape[-1]
    position = (torch.arange(n_bins, dtype=torch.float64) / factor).clamp(max=n_bins - 1)
    below = position.floor().long().clamp(max=n_bins - 2)
    share = (position - below).to(statistics.dtype)
    return (1 - share) * statistics[..., below] + share * statistics[..., below + 1]
