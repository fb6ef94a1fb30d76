"""Devices for the doctor: invented files below a folder that plays the system's root."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict
from edge_asd.profile import load_profile


def installation_of(folder: Path, *, profile: str = "", **changes: Any) -> Installation:
    site = folder / "site.toml"
    site.write_text(profile, encoding="utf-8")
    facts: dict[str, Any] = {
        "profile": load_profile(str(site)),
        "device": "hw:1",
        "bundle": None,
        "machine": None,
        "state": folder / "state",
        "seconds": 1.0,
        "environment": {},
        "root": folder / "root",
    }
    return Installation(**facts | changes)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def states(verdicts: Iterable[Verdict]) -> dict[str, str]:
    return {verdict.check: verdict.state for verdict in verdicts}
