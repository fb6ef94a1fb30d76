"""One page per service: what systemd says of it, and what the monitor says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_asd.control.monitors import status_of
from edge_asd.errors import EdgeAsdError
from edge_asd.profile import load_profile
from edge_asd.service.plan import UNIT
from edge_asd.service.systemd import UnitState, enabled_instances, unit_state
from edge_asd.state.folder import StateFolder, folder_name
from edge_asd.state.places import SERVICE_CONFIG, SERVICE_STATE, below, service_root, states_in
from edge_asd.state.start_record import last_end_of

__all__ = ["ServicePage", "report", "service_lines"]


@dataclass(frozen=True, slots=True)
class ServicePage:
    """One machine's service."""

    systemd: UnitState
    monitor: dict[str, Any] | None  # a Status; None: it does not answer
    trouble: str  # why it does not
    last_end: str = ""  # why the run before ended; "": nothing is known, or it was wanted

    @property
    def unit(self) -> str:
        return UNIT.replace("@", f"@{self.systemd.instance}")

    @property
    def healthy(self) -> bool:
        """Whether its silence can be trusted, today and after a reboot."""
        return self.systemd.healthy and bool(self.monitor and self.monitor.get("healthy"))

    def to_dict(self) -> dict[str, Any]:
        """Everything, the verdict first."""
        return {
            "unit": self.unit,
            "healthy": self.healthy,
            "systemd": self.systemd.model_dump(),
            "monitor": self.monitor,
            "trouble": self.trouble,
            "last_end": self.last_end,
        }


def report(
    root: Path, *, machine: str | None, profile: str | None, state: Path | None
) -> list[ServicePage]:
    """A page for every service that starts at boot, or for one machine's.

    With a profile or a state folder also for every monitor that has its state there.

    Parameters
    ----------
    profile : of the monitors; None: those that are installed
    state : folder of their state; None: what the profile says
    """
    if machine is not None:
        instances = [folder_name(machine)]
    else:
        instances = enabled_instances(root)
        if profile is not None or state is not None:
            place = state or service_root(load_profile(profile or "default", SERVICE_STATE), root)
            instances += [found.path.name for found in states_in([place])]
    return [_page(instance, root, profile, state) for instance in dict.fromkeys(instances)]


def service_lines(page: ServicePage) -> dict[str, str]:
    """Name and value of each line of a page."""
    unit = page.systemd
    lines = {
        "verdict": "healthy" if page.healthy else "NOT HEALTHY",
        "service": ", ".join(_service_words(unit)),
    }
    if unit.restarts:
        lines["restarts"] = f"{unit.restarts} by systemd"
    if unit.end:
        lines["ended by"] = unit.end
    if page.last_end:
        lines["last end"] = page.last_end
    if unit.watchdog:
        lines["watchdog"] = f"{unit.watchdog}, last ping {unit.pinged or 'never'}"
    if page.monitor is None:
        return lines | {"monitor": page.trouble}
    return lines | _monitor_lines(page.monitor)


def _service_words(unit: UnitState) -> list[str]:
    words = ["installed" if unit.installed else "not installed"]
    words.append("starts at boot" if unit.enabled else "does not start at boot")
    if unit.active is None:
        words.append("systemd does not run here")
    else:
        since = f" since {unit.since}" if unit.since else ""
        words.append(f"{unit.active} ({unit.sub}){since}")
    return words


def _monitor_lines(status: dict[str, Any]) -> dict[str, str]:
    faults = status.get("faults") or []
    score = status.get("score")
    lines = {
        "hears": f"{status.get('source')}: {status.get('capture')}",
        "alarm": f"{status.get('state')} {status.get('alarm_id') or ''}".rstrip(),
        "windows": f"{status.get('windows')} scored, {status.get('skipped_windows')} skipped",
    }
    if score is not None:
        lines["score"] = f"{score:.3g}, threshold {status.get('threshold', 0.0):.3g}"
    for number, fault in enumerate(faults, 1):
        lines[f"fault {number}"] = f"{fault.get('fault')}: {fault.get('detail')}"
    return lines


def _page(instance: str, root: Path, profile: str | None, state: Path | None) -> ServicePage:
    monitor, trouble, last_end = None, "", ""
    try:
        installed = below(root, SERVICE_CONFIG / f"{instance}.toml")
        source = profile or (str(installed) if installed.is_file() else "default")
        settings = load_profile(source, SERVICE_STATE)
        folder = StateFolder(state or service_root(settings, root), instance)
        last_end = last_end_of(folder.start_file)
        monitor = status_of(folder)
    except (EdgeAsdError, OSError) as error:
        trouble = str(error)
    return ServicePage(unit_state(instance, root), monitor, trouble, last_end)
