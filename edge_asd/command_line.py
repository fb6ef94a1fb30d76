"""The commands by name, and how a user has to type them on this computer."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["DEVICE_COMMANDS", "WORKSTATION_COMMANDS", "again", "as_typed", "program"]

DEVICE_COMMANDS = (
    *("listen", "alarms", "history", "ack", "shelve", "enroll", "teach", "forget"),
    *("record", "devices", "doctor", "service", "score", "check", "bench"),
)

WORKSTATION_COMMANDS = {
    "data": "Fetch, inspect and verify recordings.",
    "synth": "Make synthetic recordings with planted faults.",
    "train": "Train a system's extractors on recordings of normal sound.",
    "export": "Make a bundle: graphs, memory banks, calibration, golden windows.",
    "evaluate": "Measure a bundle on labelled recordings.",
    "compare": "Compare systems on labelled recordings.",
    "demo": "Run the whole path once on synthetic recordings.",
}

_NAME = "edge-asd"
_TYPED = re.compile(
    rf"(?<![\w./-])(sudo )?{_NAME}(?= (?:{'|'.join((*DEVICE_COMMANDS, *WORKSTATION_COMMANDS))})\b)"
)
_OF_SUDO = {Path("/usr/local/sbin"), Path("/usr/local/bin"), Path("/usr/sbin"), Path("/usr/bin")}


def program() -> str:
    """Return what starts this program from a shell: its name if that is found, else its path."""
    called = Path(sys.argv[0])
    found = shutil.which(_NAME)
    if called.name != _NAME or (found and called.exists() and Path(found).samefile(called)):
        return _NAME
    return shlex.quote(str(called))


def again() -> list[str]:
    """Return the words that start this program once more, as it was started.

    What the child says then names commands as they can be typed, too.
    """
    called = sys.argv[0]
    return [sys.executable, *([called] if Path(called).name == _NAME else ["-m", "edge_asd"])]


def as_typed(text: str) -> str:
    """Return `text` with its commands as they can be typed here.

    A program in a virtual environment that is not active is called by its path; sudo looks
    into the folders of the system alone, whatever is active.
    """

    def typed(match: re.Match[str]) -> str:
        called = Path(sys.argv[0])
        if not match[1]:
            return program()
        by_name = called.name != _NAME or called.parent in _OF_SUDO
        return f"sudo {_NAME if by_name else shlex.quote(str(called))}"

    return _TYPED.sub(typed, text)
