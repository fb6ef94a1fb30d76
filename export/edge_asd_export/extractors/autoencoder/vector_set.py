"""Frame vectors as training items, cut from spectrograms that stay in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from edge_asd.audio.decode import read_audio
from edge_asd.audio.view import VIEWS
from edge_asd.errors import DataError
from edge_asd_export.extractors.autoencoder.network import N_FRAMES
from edge_asd_export.training.training_set import EpochDataset, Item, OnItem, ignore

__all__ = ["VectorSet", "read_vectors"]


class VectorSet(EpochDataset):
    """Runs of `N_FRAMES` consecutive frames of the same clip, the same in every epoch.

    Overlapping vectors share their frames: the set holds each frame once.

    Parameters
    ----------
    frames : (n_frames, n_mels) float32, clip after clip
    starts : (n_vectors,) first frame of each vector
    is_target : (n_vectors,) whether its clip is of the target domain
    """

    def __init__(self, frames: Tensor, starts: Tensor, is_target: Tensor) -> None:
        n_mels = frames.shape[1]
        self._frames = frames
        self._runs = frames.flatten().unfold(0, N_FRAMES * n_mels, n_mels)
        self._starts = starts
        self._is_target = is_target

    def set_epoch(self, epoch: int) -> None:
        """Do nothing."""

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        """Items of a whole batch, gathered at once; all are of class 0."""
        return [(vector, 0) for vector in self._runs[self._starts[indices]]]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All vectors (n, N_FRAMES * n_mels) in order, and whether they are of the target."""
        for starts, is_target in zip(
            self._starts.split(size), self._is_target.split(size), strict=True
        ):
            yield self._runs[starts], is_target

    def split(self, fraction: float, seed: int) -> tuple[VectorSet, VectorSet]:
        """Two sets in random order; the second has `fraction` of the vectors, rounded up."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        n_second = math.ceil(fraction * len(self))
        second, first = order[:n_second], order[n_second:]
        return (
            VectorSet(self._frames, self._starts[first], self._is_target[first]),
            VectorSet(self._frames, self._starts[second], self._is_target[second]),
        )


def read_vectors(
    items: Sequence[Item], log_mel: Callable[[Tensor], Tensor], on_item: OnItem = ignore
) -> VectorSet:
    """Return the vectors of all clips, whole.

    Parameters
    ----------
    log_mel : maps audio (1, 1, n_samples) to frames (1, 1, n_mels, n_frames)

    Raises
    ------
    DataError
        When a clip is shorter than a vector.
    """
    spectrograms, starts, is_target = [], [], []
    n_frames = 0
    for n_done, item in enumerate(items, start=1):
        audio, _ = read_audio(item.clip.path)
        seen = torch.from_numpy(VIEWS[item.view].apply(audio)[None])
        spectrogram = log_mel(seen)[0, 0].T.cpu()  # (n_frames of the clip, n_mels)
        n_vectors = len(spectrogram) - N_FRAMES + 1
        if n_vectors < 1:
            raise DataError(
                f"{item.clip.path} has {len(spectrogram)} frames, "
                f"the autoencoder needs {N_FRAMES}: remove it"
            )
        spectrograms.append(spectrogram)
        starts.append(torch.arange(n_vectors) + n_frames)
        is_target.append(torch.full((n_vectors,), item.clip.domain == "target"))
        n_frames += len(spectrogram)
        on_item(n_done, len(items))
    return VectorSet(torch.cat(spectrograms), torch.cat(starts), torch.cat(is_target))
