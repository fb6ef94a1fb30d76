"""What systemd says about the services."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from edge_asd.errors import EdgeAsdError
from edge_asd.service.plan import UNIT, UNITS, WANTS
from edge_asd.state.places import below

__all__ = ["UnitState", "enabled_instances", "parse_show", "run", "running", "unit_state"]

_TIMEOUT_S = 60
_CLD_EXITED = 1
_ENDED = ("auto-restart", "auto-restart-queued", "dead", "failed")


class UnitState(BaseModel):
    """One machine's service; what only a running systemd knows is None without one."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    instance: str
    installed: bool
    enabled: bool  # starts at boot
    # "active", "activating", "failed", "inactive", ...
    active: str | None = Field(default=None, validation_alias="ActiveState")
    # "running", "auto-restart", ...
    sub: str | None = Field(default=None, validation_alias="SubState")
    # When it came to that state: "inactive", too.
    since: str | None = Field(default=None, validation_alias="StateChangeTimestamp")
    # Of the last process that ended: exit code or signal, and which of them, CLD_ of waitid(2).
    exit_code: int | None = Field(default=None, validation_alias="ExecMainStatus")
    exit_kind: int | None = Field(default=None, validation_alias="ExecMainCode")
    # Why it ended: "success", "exit-code", "watchdog", ...; "success" also since it was started
    # again, whatever ended it before.
    result: str | None = Field(default=None, validation_alias="Result")
    restarts: int | None = Field(default=None, validation_alias="NRestarts")  # by systemd
    # Time without a ping after which it is started again.
    watchdog: str | None = Field(default=None, validation_alias="WatchdogUSec")
    pinged: str | None = Field(default=None, validation_alias="WatchdogTimestamp")
    says: str | None = Field(default=None, validation_alias="StatusText")  # its status line

    @property
    def end(self) -> str:
        """How its last process ended badly, in words; "" where nothing is known of that."""
        words = [self.result] if self.result not in (None, "success") else []
        if self.exit_code:
            by_signal = self.exit_kind not in (None, _CLD_EXITED)
            words.append(f"{'signal' if by_signal else 'exit code'} {self.exit_code}")
        return ", ".join(words)

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
    links = below(root, WANTS).glob(f"{before}@?*{after}")
    return sorted(link.name.removeprefix(f"{before}@").removesuffix(after) for link in links)


def unit_state(instance: str, root: Path = Path("/")) -> UnitState:
    """How the service of one machine is."""
    unit = UNIT.replace("@", f"@{instance}")
    installed = below(root, UNITS / UNIT).is_file()
    enabled = below(root, WANTS / unit).is_symlink()
    if not running(root):
        return UnitState(instance=instance, installed=installed, enabled=enabled)
    properties = ",".join(
        field.validation_alias
        for field in UnitState.model_fields.values()
        if isinstance(field.validation_alias, str)
    )
    shown = run("systemctl", "show", f"--property={properties}", "--", unit)
    return parse_show(shown, instance, installed=installed, enabled=enabled)


def parse_show(text: str, instance: str, *, installed: bool, enabled: bool) -> UnitState:
    """Read what ``systemctl show`` prints."""
    shown = {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}
    known = {name: value for name, value in shown.items() if value}
    if known.get("SubState") in _ENDED:
        known.pop("StatusText", None)  # what a process said that is no more
    facts = {"instance": instance, "installed": installed, "enabled": enabled}
    return UnitState.model_validate(known | facts)
