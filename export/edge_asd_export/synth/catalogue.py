"""The synthetic machines there are."""

from __future__ import annotations

from edge_asd.errors import UsageError
from edge_asd_export.synth.bearing import BEARING
from edge_asd_export.synth.fan import FAN
from edge_asd_export.synth.gearbox import GEARBOX
from edge_asd_export.synth.machine import SYNTHETIC, Machine
from edge_asd_export.synth.slider import SLIDER
from edge_asd_export.synth.valve import VALVE

__all__ = ["MACHINES", "find_fault", "find_machine"]

MACHINES: dict[str, Machine] = {
    machine.name: machine for machine in (FAN, GEARBOX, BEARING, VALVE, SLIDER)
}


def find_machine(name: str) -> Machine:
    """The machine of that name, which may be the one that it is recorded as.

    Raises
    ------
    UsageError
        When there is none; the message lists those there are.
    """
    try:
        return MACHINES[name.removeprefix(SYNTHETIC)]
    except KeyError:
        raise UsageError(
            f"no synthetic machine {name!r}; there are {', '.join(MACHINES)}"
        ) from None


def find_fault(machine: Machine, fault: str | None) -> str:
    """That fault of the machine, or its first one for None.

    Raises
    ------
    UsageError
        When the machine has no such fault; the message lists those it has.
    """
    if fault is None:
        return machine.faults[0]
    if fault not in machine.faults:
        known = ", ".join(machine.faults)
        raise UsageError(f"{machine.name} has no fault {fault!r}; it has {known}")
    return fault
