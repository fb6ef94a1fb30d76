"""Sound beside the enrolled one, or others of the machine: levels, which channel is which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge_asd.signal.chunk import by_channel
from edge_asd.signal.reference import SignalReference

__all__ = ["EnrolledComparison", "RunningComparison"]

Floats = NDArray[np.float64]

_AVERAGE_S = 60.0
_KNOWN_S = 20.0  # before that, an average says nothing


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledComparison:
    """Levels now and when enrolled, near and far, and how alike the channels are."""

    level_dbfs: Floats  # (2,)
    enrolled_dbfs: Floats  # (2,)
    contrast: float  # see SignalReference.contrast
    tolerance_db: float  # of the levels

    @classmethod
    def of(
        cls, level_dbfs: Floats, bands_db: Floats, expected: SignalReference, tolerance_db: float
    ) -> Self:
        """Compare levels (2,) and band levels (2, n_bands) with those that are expected."""
        return cls(level_dbfs, expected.levels, expected.contrast(bands_db), tolerance_db)

    @property
    def as_enrolled(self) -> bool:
        """Whether both levels are within the tolerance."""
        return bool(np.abs(self.level_dbfs - self.enrolled_dbfs).max() <= self.tolerance_db)

    @property
    def as_exchanged(self) -> bool:
        """Whether they would be, if the channels were exchanged."""
        return bool(np.abs(self.level_dbfs[::-1] - self.enrolled_dbfs).max() <= self.tolerance_db)

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, for people and events."""
        measured = {"dbfs": self.level_dbfs, "enrolled_dbfs": self.enrolled_dbfs}
        return by_channel(measured) | {"contrast": self.contrast}


class RunningComparison:
    """Exponential averages of levels and band levels; plain ones in the first minute."""

    def __init__(self, reference: SignalReference, tolerance_db: float) -> None:
        self._reference = reference
        self._tolerance_db = tolerance_db
        self._heard_s = 0.0
        self._level_dbfs: Floats = np.zeros(2)
        self._bands_db: Floats = np.zeros(1)

    def add(
        self, level_dbfs: Floats, bands_db: Floats, duration_s: float
    ) -> EnrolledComparison | None:
        """Take levels (2,) and band levels (2, n_bands); None until enough was heard."""
        self._heard_s += duration_s
        weight = duration_s / min(self._heard_s, _AVERAGE_S)
        self._level_dbfs = self._level_dbfs + weight * (level_dbfs - self._level_dbfs)
        self._bands_db = self._bands_db + weight * (bands_db - self._bands_db)
        if self._heard_s < _KNOWN_S:
            return None
        return EnrolledComparison.of(
            self._level_dbfs, self._bands_db, self._reference, self._tolerance_db
        )
