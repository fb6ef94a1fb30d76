"""Monitors that run, and services that should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_asd.control.control_socket import ask
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.errors import ControlError
from edge_asd.service.systemd import UnitState, enabled_instances, unit_state

__all__ = ["listeners", "monitor_verdict", "monitors", "service_verdict", "services"]

_MAX_MONITORS = 32


def monitors(installation: Installation) -> Iterator[Verdict]:
    """Ask each monitor how it is."""
    sockets = _sockets(installation)
    if not sockets:
        yield not_checked("monitor", f"none has run with its state in {installation.state}")
    for path in sockets:
        machine = path.parent.name
        try:
            yield monitor_verdict(machine, ask(path, "status")["status"])
        except ControlError as error:
            yield not_checked(f"monitor {machine}", str(error))


def listeners(installation: Installation) -> list[str]:
    """Return the machines whose monitors run now, and so may hold the sound card."""
    machines = []
    for path in _sockets(installation):
        with suppress(ControlError):
            ask(path, "status")
            machines.append(path.parent.name)
    return machines


def services(installation: Installation) -> Iterator[Verdict]:
    """Look at each service that starts at boot."""
    instances = enabled_instances(installation.root)
    if not instances:
        advice = "sudo edge-asd service install"
        yield not_checked("service", "no monitor starts at boot", advice)
    for instance in instances:
        yield service_verdict(unit_state(instance, installation.root))


def monitor_verdict(machine: str, status: dict[str, Any]) -> Verdict:
    """Judge what a monitor says of itself."""
    check = f"monitor {machine}"
    faults = [f"{fault.get('fault')}: {fault.get('detail')}" for fault in status.get("faults", [])]
    found = "; ".join([f"alarm state {status.get('state')}", *faults])
    if status.get("deaf"):
        capture = f"capture {status.get('capture')}; {found}"
        return problem(check, capture, "it hears nothing: look after the sound card")
    if faults:
        return warning(check, found, "see what each fault means in the user guide")
    return ok(check, found)


def service_verdict(unit: UnitState) -> Verdict:
    """Judge what systemd says of a service."""
    check = f"service {unit.instance}"
    logs = f"journalctl -u edge-asd@{unit.instance}"
    if unit.active is None:
        return not_checked(check, "starts at boot; systemd does not run here")
    found = f"{unit.active} ({unit.sub}), {unit.restarts or 0} restarts"
    if not unit.installed:
        return problem(check, "its unit is missing", "sudo edge-asd service install")
    if unit.active != "active":
        return problem(check, f"{found}, exit code {unit.exit_code}", logs)
    if unit.restarts:
        return warning(check, f"{found}, the last one after {unit.result}", logs)
    return ok(check, found)


def _sockets(installation: Installation) -> list[Path]:
    return sorted(installation.state.glob("*/control.sock"))[:_MAX_MONITORS]
