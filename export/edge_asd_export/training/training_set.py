"""Training items: one clip seen through one view, with its joint class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from edge_asd.audio.decode import read_audio
from edge_asd.audio.view import VIEWS
from edge_asd.scoring.extractor import fit_length
from edge_asd_export.data.clips import Clip
from edge_asd_export.data.folds import NO_FOLD

__all__ = ["ClassName", "EpochDataset", "Item", "OnItem", "TrainingSet", "ignore", "training_items"]

OnItem = Callable[[int, int], None]  # told of (items read, items in all)

# machine, domain, attribute text, and the view ("" when views share their classes)
ClassName = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """One clip through one view."""

    clip: Clip
    view: str
    label: int
    fold: int = NO_FOLD  # the member of an ensemble that must not know it
    warp: float = 1.0  # its frequencies are multiplied by


def training_items(
    clips: Sequence[Clip],
    views: Sequence[str],
    *,
    view_classes: bool,
    folds: Mapping[Clip, int] | None = None,
) -> tuple[list[Item], list[ClassName]]:
    """Pair every clip with every view, and number the joint classes in sorted order."""

    def class_name(clip: Clip, view: str) -> ClassName:
        machine, domain, attributes = clip.class_key
        return machine, domain or "", attributes, view if view_classes else ""

    names = sorted({class_name(clip, view) for clip in clips for view in views})
    number = {name: i for i, name in enumerate(names)}
    items = [
        Item(clip, view, number[class_name(clip, view)], (folds or {}).get(clip, NO_FOLD))
        for clip in clips
        for view in views
    ]
    return items, names


class EpochDataset(Dataset[tuple[Tensor, int | Tensor]], ABC):
    """A data set whose items may differ from epoch to epoch."""

    @abstractmethod
    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, counted from 0."""

    @abstractmethod
    def __len__(self) -> int: ...


def ignore(done: int, total: int) -> None:
    """Tell nobody."""


class TrainingSet(EpochDataset):
    """Audio (n_channels, n_samples) and class number of each item.

    Clips shorter than the network's input are tiled first; then all are cut to its length at
    a random place. The places are a function of the seed, the epoch and the clip.
    """

    def __init__(self, items: Sequence[Item], n_samples: int, seed: int) -> None:
        self._items = items
        self._n_samples = n_samples
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        item = self._items[index]
        audio, _ = read_audio(item.clip.path)
        rng = np.random.default_rng((self._seed, self._epoch, index))
        cut = _random_cut(VIEWS[item.view].apply(audio), self._n_samples, rng)
        return torch.from_numpy(cut), item.label


def _random_cut(
    audio: NDArray[np.float32], n_samples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    n_tiles = -(-n_samples // audio.shape[1])
    tiled_samples = n_tiles * audio.shape[1]
    tiled = fit_length(audio, tiled_samples)
    start = int(rng.integers(tiled_samples - n_samples + 1))
    return np.ascontiguousarray(tiled[:, start : start + n_samples])
