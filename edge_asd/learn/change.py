"""What the commands that learn on site share: where the state is, and telling a monitor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge_asd.control.control_socket import ask
from edge_asd.control.unix_socket import answers
from edge_asd.errors import ControlError
from edge_asd.profile import Profile
from edge_asd.state.folder import StateFolder, default_root

__all__ = ["kept_states", "state_root", "state_roots", "tell_monitor"]


_SERVICE_ROOT = Path("/var/lib/edge-asd")  # StateDirectory= of the system's service


def state_root(state: Path | None, profile: Profile, environment: Mapping[str, str]) -> Path:
    """Return the folder of the state of all machines."""
    usual = profile.site.state_dir
    return state or (Path(usual) if usual else default_root(environment))


def state_roots(
    state: Path | None,
    profile: Profile,
    environment: Mapping[str, str],
    *,
    service_root: Path = _SERVICE_ROOT,
) -> list[Path]:
    """Return where to look for what there is: also at the service, unless `state` is given."""
    root = state_root(state, profile, environment)
    return [root] if state or not os.access(service_root, os.R_OK) else [root, service_root]


def kept_states(root: Path) -> list[StateFolder]:
    """Return the state of every machine that has one."""
    if not root.is_dir():
        return []
    return [StateFolder(root, path.name) for path in sorted(root.iterdir()) if path.is_dir()]


def tell_monitor(state: StateFolder) -> str:
    """Have a running monitor take over what was learned; return in words whether it did."""
    try:
        if not answers(state.control_socket):
            root = state.path.parent
            return f"no monitor of it runs with its state in {root}; the next one there uses it"
        ask(state.control_socket, "reload")
    except (ControlError, OSError) as error:
        return f"the running monitor did not take it over ({error}); start it again"
    return "the running monitor uses it from now on"
