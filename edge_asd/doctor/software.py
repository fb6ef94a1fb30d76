"""Versions, libraries, and whether the times of events can be believed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions

from edge_asd import __version__
from edge_asd.child_process import Ending, run_python
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.system_clock import clock_synchronised
from edge_asd.system_files import board, first_line

__all__ = [
    "clock",
    "libraries",
    "library",
    "portaudio",
    "python_version",
    "synchronised",
    "system",
    "time_zone",
    "versions",
]

_MIN_PYTHON = (3, 11)
_LIBRARIES = ("numpy", "onnxruntime", "hnswlib", "soundfile", "soxr")
_BAD_VERSIONS: Mapping[str, Mapping[str, str]] = {
    # onnxruntime issues 23957 and 24112.
    "onnxruntime": {"1.21.0": "its aarch64 wheel stops on a Raspberry Pi 4"},
}
_MADE = datetime(2026, 1, 1, tzinfo=UTC)  # a clock before this was never set
_IMPORT_TIMEOUT_S = 60.0  # of a cold SD card


def system(installation: Installation) -> Iterator[Verdict]:
    """What computer it is."""
    name = board(installation.root) or f"{platform.system()} on {platform.machine()}"
    yield ok("system", f"{name}, kernel {platform.release()}")


def versions(installation: Installation) -> Iterator[Verdict]:
    """Python and this program."""
    yield python_version(sys.version_info[:3])
    yield ok("edge-asd", f"{__version__} in {sys.prefix}")


def libraries(installation: Installation) -> Iterator[Verdict]:
    """Each library, imported where its death does no harm."""
    for name in _LIBRARIES:
        ending = run_python(["-c", f"import {name}"], timeout_s=_IMPORT_TIMEOUT_S)
        installed = next((found.version for found in distributions(name=name)), None)
        yield library(name, installed, ending)
    code = "import sounddevice as s; print(s.get_portaudio_version()[1])"
    yield portaudio(run_python(["-c", code], timeout_s=_IMPORT_TIMEOUT_S))


def python_version(found: tuple[int, ...]) -> Verdict:
    """Judge the interpreter."""
    text = ".".join(map(str, found))
    if found[:2] < _MIN_PYTHON:
        return problem("Python", text, "edge-asd needs Python 3.11 or newer")
    return ok("Python", text)


def library(name: str, installed: str | None, ending: Ending) -> Verdict:
    """Judge a library by its version and by what came of its import."""
    if installed is None:
        return problem(name, "not installed", f"pip install {name}")
    if ending.illegal_instruction:
        return problem(
            name,
            f"{installed} uses instructions that this processor does not have",
            f"install another version: pip install '{name}!={installed}'",
        )
    if why := _BAD_VERSIONS.get(name, {}).get(installed):
        return problem(name, f"{installed}: {why}", f"pip install '{name}!={installed}'")
    if ending.trouble:
        advice = f"install it again: pip install --force-reinstall {name}"
        return problem(name, f"{installed} cannot be imported: {ending.trouble}", advice)
    return ok(name, installed)


def portaudio(ending: Ending) -> Verdict:
    """Judge the library behind every sound card."""
    if ending.trouble:
        return problem("PortAudio", ending.trouble, "apt-get install libportaudio2")
    found = ending.output.strip()
    return ok("PortAudio", found) if found else not_checked("PortAudio", "it has no version")


def clock(installation: Installation) -> Iterator[Verdict]:
    """Clock and time zone."""
    yield synchronised(clock_synchronised(), datetime.now(UTC))
    yield time_zone(first_line(installation.root / "etc/timezone"), datetime.now().astimezone())


def synchronised(is_so: bool | None, now: datetime) -> Verdict:
    """Judge the clock; `is_so` is None where the system does not tell."""
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    advice = "turn on time synchronisation: timedatectl set-ntp true; is the network there?"
    if now < _MADE:
        return warning("clock", f"{found}: it was never set", advice)
    if is_so is None:
        return not_checked("clock", f"{found}; the system does not tell whether it is synchronised")
    return (
        ok("clock", f"{found}, synchronised")
        if is_so
        else warning("clock", f"{found}, not synchronised", advice)
    )


def time_zone(name: str, now: datetime) -> Verdict:
    """Return the time zone of the device; events are in UTC."""
    return ok("time zone", f"{name or now.tzname()} (UTC{now:%z}); events are in UTC")
