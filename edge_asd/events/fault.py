"""Faults of the monitor itself: it hears badly, or not at all, or cannot speak.

A fault is not an alarm. An alarm says that the machine sounds wrong; a fault says that
the monitor's silence, or its alarms, cannot be trusted until somebody mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = ["FAULTS", "Fault", "FaultChange", "Figures", "Report", "ended", "noticed"]

Severity = Literal["deaf", "impaired", "minor"]
Figures = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong."""

    name: str
    # deaf: nothing is heard, or nothing of it can be believed; impaired: scores or outputs are
    # doubtful; minor: neither
    severity: Severity
    meaning: str  # one line for people


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            Fault("capture_missing", "deaf", "the sound card is not there"),
            Fault("capture_lost", "deaf", "the sound card stopped or was unplugged"),
            Fault("capture_stalled", "deaf", "the sound card delivers nothing"),
            Fault("capture_hung", "deaf", "the driver of the sound card hangs"),
            Fault("capture_runaway", "deaf", "audio arrives faster than any sound card records"),
            Fault("capture_wrong_rate", "impaired", "the card does not keep its sample rate"),
            Fault("capture_band", "impaired", "the sound lacks high frequencies"),
            Fault("capture_overflow", "impaired", "audio was lost again and again"),
            Fault("signal_scale", "deaf", "the samples are far beyond full scale"),
            Fault("signal_silent", "deaf", "both channels are digital silence"),
            Fault("signal_stuck", "deaf", "the samples do not change"),
            Fault("signal_near_dead", "deaf", "the near channel is dead"),
            Fault("signal_far_dead", "deaf", "the far channel is dead"),
            Fault("signal_clipping", "impaired", "the input is too loud and clips"),
            Fault("signal_dc", "impaired", "the input has a constant offset"),
            Fault("signal_identical", "impaired", "both channels are the same signal"),
            Fault("signal_swapped", "impaired", "near and far are exchanged"),
            Fault("signal_level", "impaired", "the level is far from the enrolled one"),
            Fault("not_a_number", "impaired", "samples or scores are infinite, or no numbers"),
            Fault("start", "deaf", "the monitor cannot start, or cannot go on"),
            Fault("scores", "deaf", "this computer does not give the bundle's scores"),
            Fault("overload", "impaired", "scoring is too slow; windows are scored less often"),
            Fault("output", "impaired", "an output cannot be reached"),
            Fault("output_limited", "minor", "an output takes less than it is sent"),
            Fault("events_lost", "impaired", "an output will never deliver some events"),
            Fault("part", "impaired", "a part of the monitor failed unexpectedly"),
            Fault("disk", "impaired", "the disk is full, cannot be written, or hangs"),
            Fault("history", "minor", "the history is not kept, or some of it is lost"),
            Fault("clock", "minor", "the clock is not set; times may be wrong"),
        )
    }
)


@dataclass(frozen=True, slots=True)
class FaultChange:
    """A fault began, or ended; `detail` and `figures` say what was measured."""

    fault: Fault
    active: bool
    detail: str  # one line: what was found, what to do
    figures: Figures = field(default_factory=dict)
    subject: str = ""  # which one, where several can fail: the name of an output

    @property
    def key(self) -> str:
        """What the change is about: ``capture_lost``, ``output:mqtt``."""
        return f"{self.fault.name}:{self.subject}" if self.subject else self.fault.name


Report = Callable[[FaultChange], None]


def noticed(name: str, detail: str, *, subject: str = "", **figures: float | str) -> FaultChange:
    """Say that the fault called `name` is there."""
    return FaultChange(FAULTS[name], True, detail, figures, subject)


def ended(name: str, detail: str, *, subject: str = "", **figures: float | str) -> FaultChange:
    """Say that the fault called `name` is over."""
    return FaultChange(FAULTS[name], False, detail, figures, subject)
