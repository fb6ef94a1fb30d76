"""Monitors that run, and services that should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_asd.control.monitors import MonitorReport, find_monitors, report_on
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.errors import StateError
from edge_asd.service.systemd import UnitState, enabled_instances, unit_state

__all__ = ["listeners", "monitor_verdict", "monitors", "service_verdict", "services"]

_MAX_MONITORS = 32


def monitors(installation: Installation) -> Iterator[Verdict]:
    """Ask each monitor how it is."""
    reports = _reports(installation)
    if not reports:
        yield not_checked("monitor", f"none has run with its state in {installation.state}")
    for report in reports:
        if report.status:
            yield monitor_verdict(report.machine, report.status)
        else:
            yield not_checked(f"monitor {report.machine}", report.trouble or "it does not run")


def listeners(installation: Installation) -> list[str]:
    """Return the machines whose monitors run now, and so may hold the sound card."""
    return [report.machine for report in _reports(installation) if report.status]


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
        why = f"it hears nothing: {status.get('why_deaf')}; {found}"
        return problem(
            check, why, "look after the sound card; after a start, ask again in a minute"
        )
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
        return problem(check, ", ended by ".join(filter(None, (found, unit.end))), logs)
    if unit.restarts:
        return warning(check, found, logs)
    return ok(check, found)


def _reports(installation: Installation) -> list[MonitorReport]:
    try:
        return [report_on(one) for one in find_monitors([installation.state])[:_MAX_MONITORS]]
    except StateError:  # of another user, which its own verdict says
        return []
