"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "LATEST_BUNDLE",
    "Bundle",
    "Json",
    "Machine",
    "Note",
    "Profile",
    "State",
    "Threads",
    "known_state_roots",
]

LATEST_BUNDLE = Path("bundles/latest")

Bundle = Annotated[Path, typer.Option("--bundle", help="Bundle: what normal sounds like.")]
Machine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        help="Machine of the bundle, or one that was enrolled here; may be left out where there "
        "is only one.",
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
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object per line.")]
Note = Annotated[str, typer.Option("--note", help="What is known or done, or why; 200 characters.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of ONNX Runtime.")]


def known_state_roots(state: Path | None, profile: str) -> list[Path]:
    """Return where the monitors that these two options mean may have their state."""
    import os

    from edge_asd.profile import load_profile
    from edge_asd.state.places import state_roots

    return state_roots(state, load_profile(profile), os.environ)
