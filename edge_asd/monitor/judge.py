"""What tells normal from abnormal: detector, alarm levels and explanations of one machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.explain.explanation import Explanation
from edge_asd.scoring.stream import WindowDetector

if TYPE_CHECKING:
    from edge_asd.drift.normal_summary import NormalSummary
    from edge_asd.scoring.detector import WindowScore
    from edge_asd.signal.reference import SignalReference

__all__ = ["Judge", "Normal"]


class Normal(Protocol):
    """A detector, and what else is known of normal sound."""

    @property
    def detector(self) -> WindowDetector: ...
    @property
    def bundle_name(self) -> str: ...
    @property
    def learned(self) -> str | None: ...
    @property
    def scored_by(self) -> str: ...
    @property
    def reference(self) -> SignalReference | None: ...
    @property
    def normal(self) -> NormalSummary | None: ...


@dataclass(frozen=True, slots=True)
class Judge:
    """Replaced as a whole by what is learned on site."""

    opened: Normal
    policy: AlarmPolicy
    explain: Callable[[NDArray[np.float32], WindowScore], Explanation | None]

    @property
    def detector(self) -> WindowDetector:
        return self.opened.detector

    @property
    def learned(self) -> str | None:
        """Version of what was learned on site; None: the bundle alone."""
        return self.opened.learned
