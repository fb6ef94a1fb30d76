"""The monitors of this device, found by the state that they keep."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from edge_asd.clips.folder import EVENT_FILE, STAMPED, EventRecord
from edge_asd.control.control_socket import ask
from edge_asd.control.unix_socket import answers
from edge_asd.errors import ControlError, StateError, UsageError
from edge_asd.state.folder import StateFolder, default_root

__all__ = ["MonitorReport", "control_socket", "find_monitors", "recent_alarms", "report_on"]

_SERVICE_ROOT = Path("/var/lib/edge-asd")  # StateDirectory= of the system's service
_MOST_RECORD_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """What is known of one monitor."""

    machine: str
    folder: str  # of its state
    running: bool
    status: dict[str, Any]  # see edge_asd.monitor.status; empty when it does not answer
    trouble: str  # why it does not answer
    alarms: list[dict[str, Any]]  # see edge_asd.clips.folder; the latest first


def find_monitors(
    state: Path | None, environment: Mapping[str, str], *, service_root: Path = _SERVICE_ROOT
) -> list[StateFolder]:
    """Return the state of every monitor that ever ran.

    Where `state` is None, those of the service count, too, unless one of this user runs.

    Raises
    ------
    ControlError
        When the state belongs to somebody else.
    """
    found: list[StateFolder] = []
    for root in _roots(state, environment, service_root):
        try:
            found += _monitors_in(root)
        except ControlError:
            if not found:  # else the user means the own ones
                raise
        if any(_runs(folder) for folder in found):
            break
    return found


def control_socket(
    state: Path | None,
    machine: str | None,
    environment: Mapping[str, str],
    *,
    service_root: Path = _SERVICE_ROOT,
) -> Path:
    """Return the socket of the monitor of a machine, or of the only one that runs.

    Raises
    ------
    ControlError
        When it does not run, or belongs to somebody else.
    UsageError
        When several run and no machine is named.
    """
    found = find_monitors(state, environment, service_root=service_root)
    running = [folder for folder in found if _runs(folder)]
    names = ", ".join(folder.machine for folder in running)
    if machine is None and len(running) > 1:
        raise UsageError(f"monitors of {names} are running; name one with --machine")
    for folder in running:
        if machine is None or folder.path.name == StateFolder(Path(), machine).path.name:
            return folder.control_socket
    roots = " or ".join(map(str, _roots(state, environment, service_root)))
    wanted = f" of {machine!r}" if machine else ""
    others = f"; running: {names}" if names else ""
    raise ControlError(
        f"no monitor{wanted} runs with its state in {roots}{others}; "
        "start one with 'edge-asd listen' or name the folder with --state"
    )


def report_on(folder: StateFolder) -> MonitorReport:
    """Ask a monitor how it is."""
    status: dict[str, Any] = {}
    trouble = ""
    running = True
    try:
        running = answers(folder.control_socket)
        if running:
            status = dict(ask(folder.control_socket, "status")["status"])
    except (KeyError, TypeError, ValueError):
        trouble = "the monitor does not tell how it is; is it of this version?"
    except (ControlError, OSError) as error:
        trouble = str(error)
    machine = status.get("machine") or folder.machine
    alarms = list(recent_alarms(folder.events))
    return MonitorReport(machine, str(folder.path), running, status, trouble, alarms)


def recent_alarms(events: Path, most: int = 10) -> Iterator[dict[str, Any]]:
    """Records of the latest alarms with the ``folder`` of each; what is broken is left out."""
    try:
        names = [entry.name for entry in os.scandir(events) if entry.is_dir()]
    except OSError:
        return
    stamped = {name: stamp[1] for name in names if (stamp := STAMPED.fullmatch(name))}
    for name in islice(sorted(stamped, key=stamped.__getitem__, reverse=True), most):
        path = events / name / EVENT_FILE
        try:
            record = EventRecord.load(path) if path.stat().st_size <= _MOST_RECORD_BYTES else None
        except (OSError, StateError):
            continue
        if record is not None:
            yield {"folder": str(path.parent)} | record.model_dump(mode="json")


def _roots(state: Path | None, environment: Mapping[str, str], service_root: Path) -> list[Path]:
    if state is not None:
        return [state]
    return list(dict.fromkeys([default_root(environment), service_root]))


def _monitors_in(root: Path) -> list[StateFolder]:
    try:
        names = sorted(path.name for path in root.iterdir())
        found = [StateFolder(root, name) for name in names]
        return [folder for folder in found if (folder.path / "lock").exists()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise ControlError(
            f"{error.filename} belongs to another user; ask as that user, or as root"
        ) from None


def _runs(folder: StateFolder) -> bool:
    try:
        return answers(folder.control_socket)
    except OSError:
        return True  # and asking it will tell what is wrong
