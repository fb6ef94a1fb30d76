"""Options that several commands share."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edge_asd.errors import UsageError
from edge_asd.machine_name import machine_name

__all__ = [
    "LATEST_BUNDLE",
    "Attributes",
    "Bundle",
    "ClipSeconds",
    "Device",
    "FalseAlarmRate",
    "FalseAlarmsPerMonth",
    "HopSeconds",
    "InputRateHz",
    "Json",
    "Machine",
    "Note",
    "Profile",
    "State",
    "Threads",
    "known_state_roots",
    "name_of",
    "require_pipe_rate",
    "seconds_of",
    "utc_time",
]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

LATEST_BUNDLE = Path("bundles/latest")

Bundle = Annotated[Path, typer.Option("--bundle", help="Bundle: what normal sounds like.")]


def name_of(machine: str | None) -> str | None:
    """One spelling of the machine that a command line names."""
    return None if machine is None else machine_name(machine)


Machine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        callback=name_of,
        help="Machine of the bundle, or one that was enrolled here; may be left out where there "
        "is only one.",
    ),
]
FalseAlarmsPerMonth = Annotated[
    float,
    typer.Option(
        "--false-alarms-per-month",
        min=0.001,
        max=10_000,
        help="How many false alarms are acceptable.",
    ),
]
FalseAlarmRate = Annotated[
    float | None,
    typer.Option(
        "--false-alarm-rate",
        min=1e-6,
        max=0.5,
        help="Share of normal windows above the threshold, to evaluate by.  "
        "[default: as the false alarms a month allow]",
        show_default=False,
    ),
]
Profile = Annotated[
    str, typer.Option("--profile", help="Device profile: a built-in name or a .toml file.")
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Folder of the monitors' state; that of the profile, or the usual ones."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Microphone: hw:1, hw:1,0, usb:VID:PID[:SERIAL], a card's id, an exact name, an "
        "index, or default; the profile's if left out.",
    ),
]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="KEY=VALUE",
        help="What is known of the machine's state, such as speed=2; repeatable.",
    ),
]
ClipSeconds = Annotated[
    float | None,
    typer.Option(
        "--clip-s", min=1, max=60, help="Length of a clip; that of the clips there, else 10."
    ),
]
HopSeconds = Annotated[
    float | None,
    typer.Option(
        "--hop-s", min=0.001, max=86400, help="From one window to the next; else the bundle's."
    ),
]
InputRateHz = Annotated[
    int | None,
    typer.Option(
        "--input-rate-hz",
        min=1000,
        max=768_000,
        help="Sample rate of raw PCM on stdin; WAV says its own.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object per line.")]
Note = Annotated[str, typer.Option("--note", help="What is known or done, or why; 200 characters.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of ONNX Runtime.")]


def seconds_of(option: str, text: str) -> float:
    """Return the duration that an option names, in seconds.

    Raises
    ------
    UsageError
        When it is no duration.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{option} {text!r} is not a duration; write it like 90s, 30m, 2h or 1d")
    return float(match[1]) * _UNITS_S[match[2]]


def utc_time(option: str, text: str) -> datetime:
    """Return the time of day that an option names; without a zone it is UTC.

    Raises
    ------
    UsageError
        When it is no time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is not a time; write it like 2026-11-22T08:30:00Z"
        ) from None
    return time.replace(tzinfo=time.tzinfo or UTC)


def require_pipe_rate(pipe: bool, input_rate_hz: int | None) -> None:
    """Check that nothing but a pipe comes with a sample rate.

    Raises
    ------
    UsageError
        When it does.
    """
    if input_rate_hz is not None and not pipe:
        raise UsageError(
            "--input-rate-hz is for raw PCM on stdin ('--input -'): files and cards say their own"
        )


def known_state_roots(state: Path | None, profile: str) -> list[Path]:
    """Return where the monitors that these two options mean may have their state."""
    from edge_asd.profile import load_profile
    from edge_asd.state.places import state_roots

    return state_roots(state, load_profile(profile), os.environ)
