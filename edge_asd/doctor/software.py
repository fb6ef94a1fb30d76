"""Versions and libraries."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from edge_asd import __version__
from edge_asd.doctor.child import Ending, run_python
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem
from edge_asd.system_files import board

__all__ = ["libraries", "library", "portaudio", "python_version", "system", "versions"]

_MIN_PYTHON = (3, 11)
_LIBRARIES = ("numpy", "onnxruntime", "hnswlib", "soundfile", "soxr")
_BAD_VERSIONS: Mapping[str, Mapping[str, str]] = {
    # onnxruntime issues 23957 and 24112.
    "onnxruntime": {"1.21.0": "its aarch64 wheel stops on a Raspberry Pi 4"},
}
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
        yield library(name, _installed_version(name), ending)
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


def _installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
