"""How much of everything a demo makes, and which fault it plants."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_asd_export.synth.catalogue import MACHINES, find_machine
from edge_asd_export.synth.dataset import FaultLevel

__all__ = ["Plan", "Planted"]


@dataclass(frozen=True, slots=True)
class Planted:
    """A recording of one machine that is faulty for a while."""

    machine: str = "fan"
    fault: str = "rubbing"
    level: FaultLevel = "strong"
    normal_s: float = 60.0  # before, and again after the fault
    fault_s: float = 60.0

    @property
    def end_s(self) -> float:
        """When the fault ends, in seconds of the recording."""
        return self.normal_s + self.fault_s

    @property
    def recorded_as(self) -> str:
        """Name of the machine in data sets and bundles."""
        return find_machine(self.machine).recorded_as

    def __str__(self) -> str:
        return (
            f"synthetic {self.machine}, {self.level} {self.fault} from {self.normal_s:g} s to "
            f"{self.end_s:g} s"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site has: each machine as it usually runs, twenty minutes of it.

    The defaults need about three minutes on two cores.
    """

    system: str = "system5"
    machines: tuple[str, ...] = tuple(MACHINES)
    train_clips: int = 120  # normal clips for each machine
    test_clips: int = 10  # for each machine, of normal and anomalous
    clip_s: float = 10.0
    epochs: int | None = None  # None: as many as the system has by default
    settings: tuple[str, ...] = ("resnet.width=32",)  # what makes other systems quick
    seed: int = 0
    planted: Planted = field(default_factory=Planted)
