"""What a synthetic machine is: operating conditions, faults, and one equation for its sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_asd_export.synth.signals import Signal

__all__ = ["SYNTHETIC", "Condition", "Machine", "Operation"]

SYNTHETIC = "synthetic-"  # what names of machines that do not exist begin with


@dataclass(frozen=True, slots=True)
class Condition:
    """An operating point."""

    attributes: tuple[tuple[str, str], ...]  # what the file name says, ("spd", "2") for example
    speed_hz: float  # turns, cycles or strokes per second
    load: float  # 0 idle, 1 full; what loads it depends on the machine

    @property
    def attribute_text(self) -> str:
        """The attributes as they stand in a file name, `spd_2_load_1` for example."""
        return "_".join(f"{key}_{value}" for key, value in self.attributes)


@dataclass(frozen=True, slots=True)
class Operation:
    """One uninterrupted stretch of running, healthy or faulty."""

    condition: Condition
    fault: str | None
    severity: Signal  # (n_samples,) of the fault: 0 healthy, about 0.35 subtle, about 1 strong
    rng: np.random.Generator

    @property
    def n_samples(self) -> int:
        """Length of the operation."""
        return len(self.severity)

    def severity_of(self, fault: str) -> Signal:
        """Severity of one fault over time, (n_samples,): zero unless it is this one."""
        return self.severity if self.fault == fault else np.zeros_like(self.severity)


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine.

    `sound` turns an operation into (n_samples,) float64 of any level. Faults enter its equation
    through their severities, never through a branch, so that random draws do not depend on them.
    """

    name: str
    source: tuple[Condition, ...]  # usual operating points
    target: tuple[Condition, ...]  # the operating points after a change of production
    faults: tuple[str, ...]
    sound: Callable[[Operation], Signal]

    @property
    def recorded_as(self) -> str:
        """Name of its folder in a data set, and so in everything that is made from it."""
        return f"{SYNTHETIC}{self.name}"
