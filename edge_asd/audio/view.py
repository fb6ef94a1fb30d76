"""Views: what an extractor is given of a recording with a near and a far channel.

Training, export, memory banks, the device and the manifest all go through this table; a new
view is a new row of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.noise_cancelling import clean
from edge_asd.errors import UsageError

__all__ = ["VIEWS", "View", "view_named"]

_Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """Channels that are selected from both microphones, or computed from them.

    Attributes
    ----------
    apply : maps audio (2, n_samples) to (n_channels, n_samples) float32, the same for a whole
        clip in training as for a window on the device; never writes to its input
    """

    name: str
    n_channels: int
    apply: Callable[[_Audio], _Audio]


VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        View("near", 1, lambda audio: audio[:1]),  # the microphone at the machine
        View("far", 1, lambda audio: audio[1:]),  # the microphone away from it
        View("stereo", 2, lambda audio: audio),  # both, stacked as channels
        View("clean", 1, clean),  # near minus what far explains of it
    )
}


def view_named(name: str) -> View:
    """Return the view called `name`.

    Raises
    ------
    UsageError
        When there is none; the message lists those there are.
    """
    try:
        return VIEWS[name]
    except KeyError:
        raise UsageError(f"unknown view {name!r}; known views: {', '.join(VIEWS)}") from None
