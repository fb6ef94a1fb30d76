"""Training items: one clip seen through one view, with its joint class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from edge_asd.audio.decode import read_audio
from edge_asd.audio.resample import resample
from edge_asd.audio.view import VIEWS
from edge_asd.scoring.extractor import fit_length
from edge_asd_export.data.clips import Clip
from edge_asd_export.data.folds import NO_FOLD

__all__ = ["ClassName", "EpochDataset", "Item", "OnItem", "TrainingSet", "ignore", "training_items"]

OnItem = Callable[[int, int], None]  # told of (items read, items in all)


class ClassName(NamedTuple):
    """What the clips of a class have in common."""

    machine: str
    domain: str
    attributes: str
    view: str  # "" when views share their classes
    warp: float = 1.0  # of copies with other frequencies


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
    warps: Sequence[float] = (),
) -> tuple[list[Item], list[ClassName]]:
    """Pair every clip with every view, and number the joint classes in sorted order.

    Parameters
    ----------
    warps : factors of all frequencies; each makes a copy of every item, with a class of its own
    """

    def class_name(clip: Clip, view: str, warp: float) -> ClassName:
        machine, domain, attributes = clip.class_key
        return ClassName(machine, domain or "", attributes, view if view_classes else "", warp)

    seen = list(product(clips, views, (1.0, *warps)))
    names = sorted({class_name(*one) for one in seen})
    number = {name: i for i, name in enumerate(names)}
    items = [
        Item(
            clip, view, number[class_name(clip, view, warp)], (folds or {}).get(clip, NO_FOLD), warp
        )
        for clip, view, warp in seen
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
        seen = _warped(VIEWS[item.view].apply(audio), item.warp)
        cut = _random_cut(seen, self._n_samples, rng)
        return torch.from_numpy(cut), item.label


def _warped(audio: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Played faster by a factor: all frequencies are multiplied by it, the length divided."""
    if factor == 1.0:
        return audio
    return resample(audio, round(1000 * factor), 1000)  # only the ratio of the rates counts


def _random_cut(
    audio: NDArray[np.float32], n_samples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    n_tiles = -(-n_samples // audio.shape[1])
    tiled_samples = n_tiles * audio.shape[1]
    tiled = fit_length(audio, tiled_samples)
    start = int(rng.integers(tiled_samples - n_samples + 1))
    return np.ascontiguousarray(tiled[:, start : start + n_samples])
