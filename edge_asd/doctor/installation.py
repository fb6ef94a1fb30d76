"""The device that is examined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_asd.profile import Profile

__all__ = ["Installation"]


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
