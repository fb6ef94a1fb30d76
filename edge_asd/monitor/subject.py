"""What a monitor watches, and what judges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.alarm.life_cycle import AlarmPolicy
from edge_asd.explain.explanation import Explanation
from edge_asd.scoring.stream import WindowDetector

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = ["Judge", "Listening", "Subject"]


class Listening(Protocol):
    """What the monitor asks of a source besides its blocks."""

    @property
    def name(self) -> str: ...
    @property
    def source_rate_hz(self) -> int | None: ...
    @property
    def state(self) -> str: ...
    @property
    def backlog_s(self) -> float: ...
    @property
    def drift_ppm(self) -> float | None: ...
    @property
    def reopened(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being listened to."""

    source: Listening
    bundle: str
    live: bool  # sound that happens now, not a recording


@dataclass(frozen=True, slots=True)
class Judge:
    """What tells normal from abnormal; what is learned on site replaces it as a whole."""

    detector: WindowDetector
    policy: AlarmPolicy
    explain: Callable[[NDArray[np.float32], WindowScore], Explanation | None]
    learned: str | None = None  # version of what was learned on site
