"""Puts a service in place, or takes it away, one step after the other.

Every step says what it does, so that a dry run is the same list without the doing. What
is right already is no step: a second installation does nothing.
"""

from __future__ import annotations

import pwd
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_asd.errors import UsageError
from edge_asd.profile import builtin_folder, builtin_profiles, load_profile
from edge_asd.service import plan, systemd
from edge_asd.service.plan import PlannedFile, Setup
from edge_asd.state.atomic import write_atomically
from edge_asd.state.places import SERVICE_STATE, below

__all__ = ["Step", "edge_asd_command", "install", "next_commands", "require_reach", "uninstall"]


_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # the unit has PrivateTmp=


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do; `text` is an order: ``write /etc/...``."""

    text: str
    perform: Callable[[], object]


def install(setup: Setup, *, profile: str | None, root: Path, start: bool) -> Iterator[Step]:
    """What has to be done for a machine's monitor to start at boot.

    Parameters
    ----------
    profile : name or path of the profile to copy; None keeps the one that is installed
    root : the system to install into
    start : also start it now, or again with what was changed

    Raises
    ------
    ProfileError
        When the profile cannot be obeyed; nothing is written then.
    """
    installed = below(root, setup.profile)
    source = profile or (str(installed) if installed.is_file() else "default")
    settings = load_profile(source, _home_of(setup.user))
    builtin = builtin_folder() / f"{source}.toml" if source in builtin_profiles() else None
    text = (builtin or Path(source)).read_text(encoding="utf-8")
    env = _read(below(root, setup.env)) or ""
    for file in plan.planned_files(setup, settings, profile_text=text, env=env):
        yield from _writing(file, root)
    if not below(root, plan.WANTS / setup.unit).is_symlink():
        yield Step(f"enable {setup.unit} at boot", lambda: _link(setup, root))
    if root == Path("/") and setup.user == plan.DEFAULT_USER and plan.DEFAULT_USER not in _users():
        yield _command("systemd-sysusers")
    if systemd.running(root):
        yield _command("systemctl", "daemon-reload")
        if setup.usb:
            yield _command("udevadm", "control", "--reload")
            yield _command("udevadm", "trigger", "--action=add", "--subsystem-match=sound")
        if start:
            yield _command("systemctl", "restart", setup.unit)


def uninstall(setup: Setup, *, root: Path) -> Iterator[Step]:
    """What has to be done for a machine's monitor never to start again.

    Its profile, its ``.env`` file and everything that it learned stay.
    """
    if systemd.running(root):
        yield _command("systemctl", "disable", "--now", setup.unit)
    places = [plan.WANTS / setup.unit, setup.drop_in, setup.rule]
    wants = below(root, plan.WANTS)
    others = [link for link in wants.glob("edge-asd@*.service") if link.name != setup.unit]
    if not others:
        places.append(plan.UNITS / plan.UNIT)
    for place in places:
        path = below(root, place)
        if path.is_symlink() or path.exists():
            yield Step(f"remove {place}", path.unlink)
    drop_ins = below(root, setup.drop_in).parent
    if drop_ins.is_dir() and not any(drop_ins.iterdir()):
        yield Step(f"remove {setup.drop_in.parent}", drop_ins.rmdir)
    if systemd.running(root):
        yield _command("systemctl", "daemon-reload")


def next_commands(setup: Setup, *, root: Path, start: bool) -> list[str]:
    """What is left to be typed."""
    if systemd.running(root):
        return [] if start else [f"systemctl start {setup.unit}"]
    if root != Path("/"):
        return []  # an image: systemd makes the user and starts the service when it boots
    return ["systemctl daemon-reload", f"systemctl start {setup.unit}"]


def edge_asd_command() -> tuple[str, ...]:
    """The program that runs now, as systemd has to call it."""
    script = Path(sys.executable).parent / "edge-asd"
    return (str(script),) if script.is_file() else (sys.executable, "-m", "edge_asd")


def require_reach(paths: list[Path], user: str) -> None:
    """See to it that the service's user can get at what it needs.

    Raises
    ------
    UsageError
        When a folder on the way is closed to other users, or is one for temporary files.
    """
    for path in paths:
        if any(path.is_relative_to(folder) for folder in _TEMPORARY):
            raise UsageError(
                f"{path} is a temporary file, which the service does not see; put it below /opt"
            )
        for folder in path.parents:
            with suppress(FileNotFoundError):
                if not folder.stat().st_mode & stat.S_IXOTH:
                    raise UsageError(
                        f"{folder} is closed to other users, so that user {user} cannot reach "
                        f"{path}; put it below /opt, or give --user {folder.owner()}"
                    )


def _writing(file: PlannedFile, root: Path) -> Iterator[Step]:
    path = below(root, file.path)
    now = _read(path)
    if now is None:
        yield Step(f"write {file.path}", lambda: _write(path, file))
    elif now != file.content:
        if file.path.suffix == ".toml":
            kept = path.with_name(f"{path.name}.old")
            yield Step(f"keep the old {file.path} as {kept.name}", lambda: path.replace(kept))
        yield Step(f"replace {file.path}", lambda: _write(path, file))
    elif stat.S_IMODE(path.stat().st_mode) != file.mode:
        yield Step(f"set the mode of {file.path} to {file.mode:o}", lambda: path.chmod(file.mode))


def _write(path: Path, file: PlannedFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, file.content, file.mode)


def _link(setup: Setup, root: Path) -> None:
    link = below(root, plan.WANTS / setup.unit)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(plan.UNITS / plan.UNIT)


def _command(*command: str) -> Step:
    return Step(f"run {' '.join(command)}", lambda: systemd.run(*command))


def _home_of(user: str) -> Path:
    """Home folder of a service's user, who may not be there yet."""
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        return SERVICE_STATE


def _users() -> set[str]:
    return {entry.pw_name for entry in pwd.getpwall()}


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
