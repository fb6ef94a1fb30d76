"""The monitors of this device, found by the state that they keep."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from edge_asd.clips.folder import EVENT_FILE, EventRecord
from edge_asd.clips.order import by_age
from edge_asd.control.control_socket import ask
from edge_asd.control.unix_socket import answers
from edge_asd.errors import ControlError, StateError, UsageError
from edge_asd.learn.commissioning import CommissioningFolder
from edge_asd.state.folder import StateFolder, folder_name
from edge_asd.state.places import states_in
from edge_asd.state.start_record import last_end_of
from edge_asd.state.trust import acting_as_owner

__all__ = [
    "MonitorReport",
    "ask_monitor",
    "find_monitors",
    "recent_alarms",
    "reload_monitor",
    "report_on",
    "root_in_use",
    "runs",
    "status_of",
]


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """What is known of one monitor."""

    machine: str
    folder: str  # of its state
    running: bool
    status: dict[str, Any]  # see status_of; empty when it does not answer
    trouble: str  # why it does not answer
    alarms: list[dict[str, Any]]  # see edge_asd.clips.folder; the latest first


def find_monitors(roots: Iterable[Path]) -> list[StateFolder]:
    """Return the state of every monitor that ever ran.

    Parameters
    ----------
    roots : from :func:`edge_asd.state.places.state_roots`

    Raises
    ------
    StateError
        When the state belongs to another user.
    """
    return [folder for folder in states_in(roots) if _has_run(folder)]


def root_in_use(roots: Sequence[Path]) -> Path:
    """Return the first place where a monitor runs, has run, or could keep its state."""
    found: list[StateFolder] = []
    with suppress(StateError):
        found = find_monitors(roots)
    used = [folder.path.parent for folder in [*filter(runs, found), *found]]
    return [*used, *(root for root in roots if os.access(root, os.R_OK | os.X_OK)), *roots][0]


def ask_monitor(
    roots: Sequence[Path], machine: str | None, command: str, **arguments: Any
) -> dict[str, Any]:
    """Return what the monitor of a machine answers, or the only one that runs.

    Raises
    ------
    ControlError
        When it does not run, or refuses.
    StateError
        When its state belongs to another user.
    UsageError
        When several run and no machine is named.
    """
    running = [folder for folder in find_monitors(roots) if runs(folder)]
    names = ", ".join(folder.machine for folder in running)
    if machine is None and len(running) > 1:
        raise UsageError(f"monitors of {names} are running; name one with --machine")
    for folder in running:
        if machine is None or folder.path.name == folder_name(machine):
            with acting_as_owner(folder.path):
                return ask(folder.control_socket, command, **arguments)
    wanted = f" of {machine!r}" if machine else ""
    others = f"; running: {names}" if names else ""
    raise ControlError(
        f"no monitor{wanted} runs with its state in {' or '.join(map(str, roots))}{others}; "
        "start one with 'edge-asd listen', or give the --profile or --state that it has"
    )


def status_of(folder: StateFolder) -> dict[str, Any]:
    """Ask a monitor how it is; see edge_asd.events.status.

    Raises
    ------
    ControlError
        When it does not answer, or is of another version.
    """
    with acting_as_owner(folder.path):
        status = ask(folder.control_socket, "status").get("status")
    if not isinstance(status, dict):
        raise ControlError("the monitor does not tell how it is; is it of this version?")
    return status


def report_on(folder: StateFolder) -> MonitorReport:
    """Return what is known of a monitor, whether it runs or not."""
    status: dict[str, Any] = {}
    trouble = ""
    running = runs(folder)
    try:
        status = status_of(folder) if running else {}
    except ControlError as error:
        trouble = str(error)
    with acting_as_owner(folder.path):
        alarms = list(recent_alarms(folder.events))
        with suppress(StateError, OSError):
            if not running and (why := last_end_of(folder.start_file)):
                trouble = f"it does not run; its last run ended: {why}"
    machine = status.get("machine") or folder.machine
    return MonitorReport(machine, str(folder.path), running, status, trouble, alarms)


def recent_alarms(events: Path, most: int = 10) -> Iterator[dict[str, Any]]:
    """Records of the latest alarms with the ``folder`` of each; what is broken is left out."""
    try:
        names = [entry.name for entry in os.scandir(events) if entry.is_dir()]
    except OSError:
        return
    for name in islice(reversed(by_age(events, names)), most):
        path = events / name / EVENT_FILE
        try:
            record = EventRecord.load(path)
        except (OSError, StateError):
            continue
        if record is not None:
            yield {"folder": str(path.parent)} | record.model_dump(mode="json")


def reload_monitor(folder: StateFolder) -> str:
    """Have a running monitor take over what was learned; return in words whether it did."""
    with acting_as_owner(folder.path):
        if CommissioningFolder(folder).plan is not None:
            return "a commissioning is under way: no alarm is raised, and its end replaces this"
    if not runs(folder):
        root = folder.path.parent
        return f"no monitor of it runs with its state in {root}; the next one there uses it"
    try:
        with acting_as_owner(folder.path):
            ask(folder.control_socket, "reload")
    except ControlError as error:
        return (
            f"the running monitor did not take it over ({error}); it goes on as before until it is "
            "started again"
        )
    return "the running monitor uses it from now on"


def _has_run(folder: StateFolder) -> bool:
    try:
        return (folder.path / "lock").exists() or folder.control_socket.exists()
    except OSError:
        return True  # of another user; asking it fails with the reason


def runs(folder: StateFolder) -> bool:
    """Whether a monitor answers there."""
    try:
        with acting_as_owner(folder.path):
            return answers(folder.control_socket)
    except OSError:
        return True  # asking it fails with the reason
