"""Where the state of all machines is: as the command line, the profile or the system says.

================  ====================================================================
``--state``       that folder
a profile with    ``site.state_dir``; a relative one is below the folder in which the
``state_dir``     monitor works, for a service ``/var/lib/edge-asd``
else              systemd's ``STATE_DIRECTORY``, or ``~/.local/state/edge-asd``; a
                  command that looks for monitors looks at those of the services, too;
                  one that learns uses the first of these that has the machine
================  ====================================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edge_asd.errors import ProfileError, StateError
from edge_asd.profile import Profile, load_profile
from edge_asd.state.folder import StateFolder, folder_name

__all__ = [
    "SERVICE_CONFIG",
    "SERVICE_STATE",
    "below",
    "machine_root",
    "service_root",
    "state_root",
    "state_roots",
    "states_in",
    "usual_root",
]

SERVICE_CONFIG = Path("/etc/edge-asd")  # profiles of the services
SERVICE_STATE = Path("/var/lib/edge-asd")  # StateDirectory= and WorkingDirectory= of the unit


def state_root(state: Path | None, profile: Profile, environment: Mapping[str, str]) -> Path:
    """Return where a monitor that starts now keeps its state.

    Parameters
    ----------
    state : what the command line says
    """
    if named := state or profile.site.state_dir:
        return Path(named)
    return usual_root(environment)


def usual_root(environment: Mapping[str, str]) -> Path:
    """Return where a process keeps its state when neither command line nor profile say."""
    if service := environment.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(service)
    home = environment.get("XDG_STATE_HOME") or f"{environment.get('HOME', '/root')}/.local/state"
    return Path(home) / "edge-asd"


def state_roots(
    state: Path | None,
    profile: Profile,
    environment: Mapping[str, str],
    *,
    system: Path = Path("/"),
) -> list[Path]:
    """Return where the monitors of this device may have their state, the likeliest first.

    Parameters
    ----------
    system : root folder of the system whose services count
    """
    roots = [state_root(state, profile, environment)]
    if state is None:
        roots.append(service_root(profile, system))
        if not profile.site.state_dir:
            roots += _service_roots(system)
    return list(dict.fromkeys(roots))


def machine_root(machine: str, roots: Sequence[Path]) -> Path:
    """Return which of these places has the state of a machine; the first, where none has.

    Parameters
    ----------
    roots : from :func:`state_roots`
    """
    name = folder_name(machine)
    return next((root for root in roots if os.access(root / name, os.W_OK)), roots[0])


def service_root(profile: Profile, system: Path = Path("/")) -> Path:
    """Return where a service with this profile keeps its state."""
    return below(system, SERVICE_STATE / profile.site.state_dir)


def states_in(roots: Iterable[Path]) -> list[StateFolder]:
    """Return the state of every machine that has one; nothing is made.

    Raises
    ------
    StateError
        When a folder belongs to another user and the ones before it hold nothing.
    """
    found: list[StateFolder] = []
    for root in roots:
        try:
            names = sorted(path.name for path in root.iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            if found:  # the user means the own ones
                continue
            raise StateError(
                f"{error.filename} belongs to another user; ask as that user, or as root"
            ) from None
        found += [StateFolder(root, name) for name in names]
    return found


def below(system: Path, path: Path) -> Path:
    """Return where an absolute path of a device is in the system below the folder `system`."""
    return system / path.relative_to("/")


def _service_roots(system: Path) -> Iterator[Path]:
    """Places that the installed profiles name, as far as these can be read."""
    for path in sorted(below(system, SERVICE_CONFIG).glob("*.toml")):
        with suppress(ProfileError):
            yield service_root(load_profile(str(path), SERVICE_STATE), system)
