"""The systemd service: which files make a machine's monitor start at boot, and what they say.

Nothing here writes. ``edge-asd service`` puts the files in place, below any root folder.

::

    /etc/systemd/system/edge-asd@.service                 one unit for all machines
    /etc/systemd/system/edge-asd@pump-3.service.d/        what only this machine needs
    /etc/systemd/system/multi-user.target.wants/...       starts it at boot
    /etc/sysusers.d/edge-asd.conf                         the user it runs as
    /etc/edge-asd/pump-3.toml                             its profile
    /etc/edge-asd/pump-3.env                              its bundle, machine, and secrets
    /etc/udev/rules.d/70-edge-asd-pump-3.rules            the lasting name of its sound card
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_asd.errors import UsageError
from edge_asd.profile import Profile, builtin_folder
from edge_asd.state.folder import folder_name
from edge_asd.state.places import SERVICE_CONFIG, SERVICE_STATE

__all__ = [
    "DEFAULT_USER",
    "UNIT",
    "UNITS",
    "WANTS",
    "PlannedFile",
    "Setup",
    "env_text",
    "planned_files",
    "read_env",
    "usb_card",
]

UNITS = Path("/etc/systemd/system")
WANTS = UNITS / "multi-user.target.wants"
UNIT = "edge-asd@.service"
DEFAULT_USER = "edge-asd"

_LOGS = Path("/var/log/edge-asd")
_SYSUSERS = Path("/etc/sysusers.d/edge-asd.conf")
_RULES = Path("/etc/udev/rules.d")

# What the unit says as it is shipped.
_SHIPPED_COMMAND = "ExecStart=/opt/edge-asd/bin/edge-asd "
_SHIPPED_USER = f"User={DEFAULT_USER}\n"

_USB = re.compile(r"(?:usb:)?([0-9a-f]{4}):([0-9a-f]{4})(?::([\w.-]+))?", re.ASCII | re.IGNORECASE)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?", re.ASCII)
_MAX_CARD_ID = 15  # of ALSA
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What one machine's service is made of."""

    machine: str
    bundle: Path  # absolute
    command: tuple[str, ...]  # that is ``edge-asd``
    user: str = DEFAULT_USER
    usb: str = ""  # udev's conditions for its sound card, from `usb_card`

    @property
    def instance(self) -> str:
        """What stands behind the ``@``: also the name of the state folder."""
        return folder_name(self.machine)

    @property
    def unit(self) -> str:
        return UNIT.replace("@", f"@{self.instance}")

    @property
    def profile(self) -> Path:
        return SERVICE_CONFIG / f"{self.instance}.toml"

    @property
    def env(self) -> Path:
        return SERVICE_CONFIG / f"{self.instance}.env"

    @property
    def drop_in(self) -> Path:
        return UNITS / f"{self.unit}.d" / "places.conf"

    @property
    def rule(self) -> Path:
        return _RULES / f"70-edge-asd-{self.instance}.rules"

    @property
    def card_id(self) -> str:
        """Name of its sound card, as ALSA allows names: ``pump_3``."""
        return re.sub(r"[^A-Za-z0-9_]", "_", self.instance)[:_MAX_CARD_ID]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file as it has to be; `path` is that of the device that will use it."""

    path: Path
    content: str
    mode: int = 0o644


def planned_files(
    setup: Setup, profile: Profile, *, profile_text: str, env: str
) -> list[PlannedFile]:
    """Every file of a machine's service.

    Parameters
    ----------
    profile : what `profile_text` says
    profile_text : the profile as it shall stand in /etc
    env : what the ``.env`` file says now; "" where there is none
    """
    files = [
        PlannedFile(UNITS / UNIT, _unit_text(setup)),
        PlannedFile(setup.profile, profile_text),
        PlannedFile(setup.env, env_text(env, setup), 0o600),
    ]
    if setup.user == DEFAULT_USER:
        files.append(PlannedFile(_SYSUSERS, _sysusers_text()))
    if places := list(_places(profile)):
        files.append(PlannedFile(setup.drop_in, _drop_in_text(places)))
    if setup.usb:
        files.append(PlannedFile(setup.rule, _rule_text(setup)))
    return files


def usb_card(text: str) -> str:
    """Return udev's conditions for a USB sound card, by what its maker wrote into it.

    Parameters
    ----------
    text : ``0d8c:0014`` or ``0d8c:0014:SERIAL``, with or without ``usb:`` before it

    Raises
    ------
    UsageError
        When it is neither.
    """
    match = _USB.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--usb {text!r} is not VENDOR:PRODUCT[:SERIAL], such as 0d8c:0014; see 'lsusb'"
        )
    vendor, product, serial = match.groups()
    found = {"idVendor": vendor.lower(), "idProduct": product.lower(), "serial": serial}
    return ", ".join(f'ATTRS{{{name}}}=="{value}"' for name, value in found.items() if value)


def env_text(now: str, setup: Setup) -> str:
    """Return the ``.env`` file with its bundle and machine set, and all else as it was."""
    wanted = {"EDGE_ASD_BUNDLE": str(setup.bundle), "EDGE_ASD_MACHINE": setup.machine}
    kept = [line for line in now.splitlines() if line.partition("=")[0].strip() not in wanted]
    if not now:
        kept = [
            f"# What edge-asd@{setup.instance}.service is started with, for root's eyes alone.",
            '# Secrets may stand here, too: where the profile says password_env = "MQTT_PASSWORD",',
            '# write MQTT_PASSWORD="...".',
        ]
    return "\n".join(
        [*kept, *(f"{name}={_env_value(value)}" for name, value in wanted.items()), ""]
    )


def read_env(text: str) -> dict[str, str]:
    """Return the variables of a ``.env`` file."""
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    assignments = (line.partition("=") for line in lines)
    return {name.strip(): _env_word(value.strip()) for name, _, value in assignments}


def _env_word(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value.strip("'\"")


def _env_value(value: str) -> str:
    if "\n" in value:
        raise UsageError(f"{value!r} holds a line break; choose another name")
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _unit_text(setup: Setup) -> str:
    if not _USER.fullmatch(setup.user):
        raise UsageError(f"--user {setup.user!r} is no name of a user")
    shipped = (builtin_folder() / "systemd" / UNIT).read_text(encoding="utf-8")
    command = " ".join(map(_unit_word, setup.command))
    return shipped.replace(_SHIPPED_COMMAND, f"ExecStart={command} ").replace(
        _SHIPPED_USER, f"User={setup.user}\n"
    )


def _unit_word(word: str) -> str:
    """One word of a unit file, where % and $ have a meaning."""
    word = word.replace("%", "%%").replace("$", "$$")
    if re.search(r"[\s\"'\\]", word):
        word = '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'
    return word


def _sysusers_text() -> str:
    return f'u {DEFAULT_USER} - "edge-asd monitor" {SERVICE_STATE}\nm {DEFAULT_USER} audio\n'


def _places(profile: Profile) -> Iterator[Path]:
    """Folders that the profile writes to and the unit does not open already."""
    for wanted in (
        Path(profile.site.state_dir) if profile.site.state_dir else None,
        *(section.folder for section in profile.sinks.sections),
    ):
        if wanted is None or not wanted.is_absolute():
            continue  # below the state directory, where the service works
        if not any(wanted.is_relative_to(place) for place in (SERVICE_STATE, _LOGS)):
            yield wanted


def _drop_in_text(places: list[Path]) -> str:
    words = " ".join(dict.fromkeys(_unit_word(str(place)) for place in places))
    return (
        "# Where the profile writes to, besides /var/lib/edge-asd and /var/log/edge-asd.\n"
        f"[Unit]\nRequiresMountsFor={words}\n\n[Service]\nReadWritePaths={words}\n"
    )


def _rule_text(setup: Setup) -> str:
    event = 'SUBSYSTEM=="sound", ACTION=="add", KERNEL=="card[0-9]*"'
    return f'{event}, {setup.usb}, ATTR{{id}}="{setup.card_id}"\n'
