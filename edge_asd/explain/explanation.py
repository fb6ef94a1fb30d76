"""Why an alarm was raised, as an event says it; :mod:`edge_asd.explain.explainer` finds it out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_asd.explain.deviation import Deviation

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a window deviates from the normal sound that is nearest to it.

    Fields are None when the bundle says too little of normal sound to tell, those about
    time and frequency also when no one place stands out.
    """

    text: str  # one sentence for people
    branch: str  # whose score is furthest above its normal range
    times_threshold: float | None  # of the score: 0 is the mean of normal, 1 the threshold
    branch_excess: dict[str, float]  # per branch, in the spread of its normal scores
    n_neighbours: int  # normal windows that it was compared with
    channel: str | None = None  # "near" or "far": where the spectrum deviates most
    onset_s: float | None = None  # within the window
    end_s: float | None = None
    low_hz: float | None = None
    high_hz: float | None = None
    departure_db: float | None = None  # mean level there, above (or below) the neighbours'
    # Taken out of near by cancelling (CancellingGain); None where nothing is cancelled.
    background_cancelled_db: float | None = None
    machine_cancelled_db: float | None = None
    # The levels that it was found in, for a picture; no output is given them.
    deviation: Deviation | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what outputs are given: everything but the levels."""
        names = [own.name for own in fields(self) if own.name != "deviation"]
        return {name: getattr(self, name) for name in names}
