"""Commands in processes of their own, and what they have made, so that a stopped demo goes on."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from edge_asd import __version__
from edge_asd.command_line import again, as_typed
from edge_asd.errors import EdgeAsdError, UsageError
from edge_asd_export.demo.plan import Plan, Planted

__all__ = ["LAST", "Steps", "begin", "remove"]

LAST = "demo.html"  # is made when all else is

_MARKER = "edge-asd-demo.txt"


class Steps:
    """Runs commands, and notes in the folder of the demo which files they have made."""

    def __init__(self, out: Path, made: Iterable[str], say: Callable[[str], None]) -> None:
        self.out, self.made, self.say = out, set(made), say

    def make(self, path: Path, title: str, *words: object, keep: bool = False) -> None:
        """Make `path` by a command, if that was not done before."""
        if path.name in self.made:
            return
        self.say(title)
        if not keep:
            # What a command that was killed has left is removed, too.
            remove(path, *self.out.glob(f".{path.name}.*"))
        self.edge_asd(*words)
        self.note(path.name)

    def edge_asd(self, *args: object, quiet: bool = False) -> None:
        """Run one command as its own process."""
        words = [str(arg) for arg in args]
        self.say(as_typed(f"$ edge-asd {shlex.join(words)}"))
        stdout = subprocess.DEVNULL if quiet else None
        result = subprocess.run([*again(), *words], stdout=stdout, check=False)
        if result.returncode:
            raise EdgeAsdError(f"'edge-asd {words[0]}' failed with exit code {result.returncode}")

    def note(self, name: str) -> None:
        """Add a name to what is known to be made."""
        self.made.add(name)
        with (self.out / _MARKER).open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")


def begin(out: Path, plan: Plan, say: Callable[[str], None]) -> Steps:
    """Keep what earlier demos of `out` made that this one needs, and remove what it does not.

    Raises
    ------
    UsageError
        When `out` holds something that no demo made.
    """
    marker = out / _MARKER
    if out.exists() and not marker.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not from an earlier demo: choose another folder with --out")
    trained = replace(plan, planted=Planted())
    head = [
        "made by 'edge-asd demo', which replaces this folder",
        f"{__version__} {trained}",
        f"listens to {plan.planted}",
    ]
    lines = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
    same_plan, same_fault = lines[:2] == head[:2], lines[2:3] == head[2:]
    made = [name for name in lines[3:] if name != LAST]
    if not same_plan or (same_fault and LAST in lines):
        made = []
        remove(out)
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text("".join(f"{line}\n" for line in (*head, *made)), encoding="utf-8")
    if made:
        say(f"Going on with the demo in {out}; remove that folder to begin anew.")
    return Steps(out, made, say)


def remove(*paths: Path) -> None:
    """Remove files and folders, whether or not they are there."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
