"""The device that is examined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_asd.profile import Profile

__all__ = ["Installation", "first_line", "read_text"]

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One installation, and what shall be looked at."""

    profile: Profile
    device: str
    bundle: Path | None
    machine: str | None
    state: Path  # folder of the machines' state folders
    seconds: float  # of the short recording
    environment: Mapping[str, str]
    root: Path = Path("/")  # below which the system's files are read
    recording: Path | None = None  # keep the short recording in this .npy file


def read_text(path: Path) -> str:
    """Return the beginning of a file of the system; "" when it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return ""


def first_line(path: Path) -> str:
    """Return its first line, without the zero byte that ends those of the device tree."""
    return next(iter(read_text(path).strip("\0\n ").splitlines()), "")
