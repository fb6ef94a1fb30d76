"""Which channels of a recording, a pipe or a card are near and far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from edge_asd.audio.block import N_CHANNELS
from edge_asd.errors import AudioError

__all__ = ["NearFar", "rows_of"]

# Numbers of both channels, counted from 1, as sound cards label their inputs. None: those of a
# recording that has no others, the first two of a card.
NearFar: TypeAlias = Sequence[int] | None


def rows_of(name: object, n_channels: int, near_far: NearFar) -> list[int]:
    """Return which rows of the audio (n_channels, n) of a recording are near and far.

    Raises
    ------
    AudioError
        When it does not have these channels, or has more than two and nobody says which.
    """
    has = f"{name} has {n_channels} channel{'s' * (n_channels != 1)}"
    if near_far is not None:
        if max(near_far) > n_channels:
            raise AudioError(f"{has}, capture.channels = {list(near_far)} asks for more")
        return [number - 1 for number in near_far]
    if n_channels != N_CHANNELS:
        choose = "" if n_channels < N_CHANNELS else "; capture.channels of a profile chooses two"
        raise AudioError(f"{has}, expected 2: the near and the far microphone{choose}")
    return [0, 1]
