"""Which of the files given to enrol from share sound."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edge_asd.audio.block import Block
from edge_asd.audio.channels import NearFar
from edge_asd.audio.source import FileSource
from edge_asd.audio.takes import Audio, find_takes

__all__ = ["takes_of_files"]

_PART_S = 10.0
_MOST_MINUTES = 100.0  # 100 MB and half a minute of a processor


def takes_of_files(
    files: Sequence[Path],
    seconds: float,
    rate_hz: int,
    stop: threading.Event,
    channels: NearFar = None,
) -> list[int]:
    """Return the take of each file: those that share sound have the same number.

    Files of more than 100 minutes together are not compared: each is a take.

    Parameters
    ----------
    seconds : of sound in all of them
    rate_hz : at which they are compared
    channels : which are near and far
    stop : set to leave the files that follow out, each a take

    Raises
    ------
    AudioError
        When a file cannot be read.
    """
    if len(files) < 2 or seconds > 60 * _MOST_MINUTES:
        return list(range(len(files)))
    return find_takes(
        (() if stop.is_set() else _parts(path, rate_hz, channels) for path in files), rate_hz
    )


def _parts(path: Path, rate_hz: int, channels: NearFar) -> Iterator[Audio]:
    n_part, held, n_held = round(_PART_S * rate_hz), [], 0
    file = FileSource(path, sample_rate_hz=rate_hz, channels=channels, say=lambda _: None)
    with closing(file) as source:
        while (item := source.read()) is not None:
            if not isinstance(item, Block):
                continue
            held.append(item.audio)
            n_held += item.n_frames
            if n_held >= n_part:
                yield np.concatenate(held, axis=1)
                held, n_held = [], 0
    if held:
        yield np.concatenate(held, axis=1)
