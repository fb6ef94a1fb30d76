"""Whether one take decides a threshold: what it would be without each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_asd.scoring.density import Floats
from edge_asd.scoring.threshold import normal_threshold

__all__ = ["DecidingTake", "deciding_take"]

# Clean recordings of real machines reach 1.2 with 13 to 43 takes, 1.5 with some 20; of ten takes
# one that is a little odd reaches 4.
_FACTOR = 2.0
_FEW, _FACTOR_OF_FEW = 15, 5.0  # takes; fewer differ more
_MOST = 1000.0  # is said; where all other scores are the same there is no such number
_LEAST_TAKES = 3  # of two, each decides half of everything


@dataclass(frozen=True, slots=True)
class DecidingTake:
    """A take without which the threshold of a machine is much closer to its normal scores."""

    take: int
    windows: NDArray[np.intp]  # numbers of its windows
    factor: float  # distance of the threshold above the median score, by that without the take

    @property
    def text(self) -> str:
        """What it does, without its name."""
        times = f"{self.factor:.1f}" if self.factor < _MOST else f"more than {_MOST:.0f}"
        return (
            f"alone puts the threshold {times} times as far above the median of normal scores as "
            "all other takes do: listen to it, and leave it out if it is not normal"
        )


def deciding_take(
    scores: ArrayLike, takes: ArrayLike, false_alarm_rate: float
) -> DecidingTake | None:
    """Return the take that decides a threshold, if one does.

    That is one without which the threshold would lie less than half as far above the median, a
    fifth where there are few takes.

    Parameters
    ----------
    scores : (n,) float, of normal windows
    takes : number of the take of each, (n,)
    false_alarm_rate : of the threshold
    """
    normal, number = np.asarray(scores, np.float64), np.asarray(takes)
    names = np.unique(number)
    if len(names) < _LEAST_TAKES:
        return None
    own = _height(normal, false_alarm_rate, len(names))
    heights = [_height(normal[number != name], false_alarm_rate, len(names) - 1) for name in names]
    least = int(np.argmin(heights))
    factor = own / max(heights[least], np.finfo(np.float64).tiny)
    if factor <= (_FACTOR if len(names) >= _FEW else _FACTOR_OF_FEW):
        return None
    return DecidingTake(int(names[least]), np.flatnonzero(number == names[least]), factor)


def _height(normal: Floats, rate: float, n_takes: int) -> float:
    """How far the threshold lies above the median of normal scores (n,)."""
    spec = normal_threshold(normal, rate, kind="normal scores", n_takes=n_takes)
    return spec.threshold - float(np.median(normal))
