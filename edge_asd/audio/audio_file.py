"""Recordings in files: what is there is read, and where the header says otherwise, that is told.

A header that promises more than there is belongs to a file that was cut short, which is refused.
One that promises less, or nothing, was left behind by a recorder that was killed or wrote into
a pipe: all that is there is read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import AudioError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["AudioFile", "Say", "cut_short", "one_behind_another"]

Say: TypeAlias = Callable[[str], None]  # is told in a line how a file differs from its header


class AudioFile(ABC):
    """An opened recording, read from its beginning to its end.

    Parameters
    ----------
    name : that messages call it
    n_channels, sample_rate_hz : by its header
    """

    def __init__(self, name: str, *, n_channels: int, sample_rate_hz: int, say: Say) -> None:
        self.name = name
        self.n_channels = n_channels
        self.sample_rate_hz = sample_rate_hz
        self._say = say

    @property
    @abstractmethod
    def n_frames(self) -> int:
        """How long it is: a FLAC file by its header, unless that does not know."""

    @abstractmethod
    def read(self, n_frames: int) -> NDArray[np.float32]:
        """Return the next frames (n_channels, n), n <= n_frames; n = 0 at the end.

        Raises
        ------
        AudioError
            When the file is damaged or cut short.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was never opened
            self.close()

    def _seconds(self, n_frames: int) -> str:
        return f"{n_frames / self.sample_rate_hz:.6g} s"

    def _say_length(self, promised: int | None, found: int) -> None:
        """Say how the frames found differ from those promised; None: the header did not know."""
        if promised is None:
            self._say(
                f"{self.name}: its header does not say how long it is; the "
                f"{self._seconds(found)} that are there are used"
            )
        elif promised < found:
            self._say(
                f"{self.name}: its header says {self._seconds(promised)}, "
                f"{self._seconds(found)} are there and used"
            )


def cut_short(name: str, found: int, promised: int, what: str) -> AudioError:
    """Return the refusal of a file in which less is found than its header promises."""
    return AudioError(
        f"{name} is cut short: found {found} of {promised} {what}; copy or record it again"
    )


def one_behind_another(name: str) -> AudioError:
    """Return the refusal of a file in which a second recording begins behind the first."""
    return AudioError(f"{name} holds one recording behind the other; give each its own file")
