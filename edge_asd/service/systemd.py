"""What systemd says about the services."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge_asd.errors import EdgeAsdError
from edge_asd.service.plan import UNIT, UNITS, WANTS

__all__ = ["UnitState", "enabled_instances", "parse_show", "run", "running", "unit_state"]

_TIMEOUT_S = 60
_PROPERTIES = (
    *("ActiveState", "SubState", "ActiveEnterTimestamp", "ExecMainStatus", "NRestarts"),
    *("Result", "StatusText", "WatchdogUSec", "WatchdogTimestamp", "MainPID"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """One machine's service; what only a running systemd knows is None without one."""

    instance: str
    installed: bool
    enabled: bool  # starts at boot
    active: str | None = None  # "active", "activating", "failed", "inactive", ...
    sub: str | None = None  # "running", "auto-restart", ...
    since: str | None = None
    exit_code: int | None = None  # of the last process that ended
    result: str | None = None  # why it ended: "success", "exit-code", "watchdog", ...
    restarts: int | None = None  # by systemd
    watchdog: str | None = None  # time without a ping after which it is started again
    pinged: str | None = None
    says: str | None = None  # its status line

    @property
    def healthy(self) -> bool:
        """Whether it runs now and will run after a reboot."""
        return self.installed and self.enabled and self.active == "active"


def running(root: Path = Path("/")) -> bool:
    """Whether systemd manages the system below `root`; what sd_booted(3) looks at."""
    return root == Path("/") and Path("/run/systemd/system").is_dir()


def run(*command: str) -> str:
    """Output of a command.

    Raises
    ------
    EdgeAsdError
        When it cannot be run, fails, or does not end in time.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EdgeAsdError(f"cannot run {' '.join(command)!r}: {error}") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise EdgeAsdError(f"{' '.join(command)!r} failed: {said}")
    return done.stdout


def enabled_instances(root: Path = Path("/")) -> list[str]:
    """Machines whose service starts at boot, by what stands behind the ``@``."""
    before, after = UNIT.split("@")
    links = (root / WANTS.relative_to("/")).glob(f"{before}@?*{after}")
    return sorted(link.name.removeprefix(f"{before}@").removesuffix(after) for link in links)


def unit_state(instance: str, root: Path = Path("/")) -> UnitState:
    """How the service of one machine is."""
    unit = UNIT.replace("@", f"@{instance}")
    installed = (root / UNITS.relative_to("/") / UNIT).is_file()
    enabled = (root / WANTS.relative_to("/") / unit).is_symlink()
    if not running(root):
        return UnitState(instance=instance, installed=installed, enabled=enabled)
    shown = run("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", unit)
    return parse_show(shown, instance, installed=installed, enabled=enabled)


def parse_show(text: str, instance: str, *, installed: bool, enabled: bool) -> UnitState:
    """Read what ``systemctl show`` prints."""
    shown = {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}

    def known(name: str) -> str | None:
        return shown.get(name) or None

    def count(name: str) -> int | None:
        value = shown.get(name, "")
        return int(value) if value.isdecimal() else None

    return UnitState(
        instance=instance,
        installed=installed,
        enabled=enabled,
        active=known("ActiveState"),
        sub=known("SubState"),
        since=known("ActiveEnterTimestamp"),
        exit_code=count("ExecMainStatus"),
        result=known("Result"),
        restarts=count("NRestarts"),
        watchdog=known("WatchdogUSec"),
        pinged=known("WatchdogTimestamp"),
        says=known("StatusText"),
    )
