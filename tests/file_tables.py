"""The list of all files in docs/architecture.md: ``python tests/file_tables.py`` writes it anew.

What a file is for is said once, in the first line of its docstring.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
HEADING = "## Every file\n"
# Folders in the order of the pipeline; one that is missing here comes last.
ORDER = (
    *("audio", "capture", "signal", "bundle", "scoring", "alarm", "explain", "events", "outputs"),
    *("clips", "drift", "monitor", "state", "control", "learn", "recordings", "service"),
    *("doctor", "commands", "data", "training", "nn", "extractors", "bundling", "calibration"),
    *("evaluation", "synth"),
)


def first_line(path: Path) -> str:
    """What a module's docstring begins with, without the full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (docstring or "").partition("\n")[0].rstrip(".").replace("|", "\\|")


def folders(package: Path) -> list[Path]:
    """The package and its folders, in the order of the pipeline."""
    found = [path.parent for path in package.rglob("__init__.py")]

    def place(folder: Path) -> tuple[int, str]:
        name = folder.relative_to(package).as_posix().partition("/")[0]
        order = (".", *ORDER)
        return (order.index(name) if name in order else len(order)), str(folder)

    return sorted(found, key=place)


def lines_of(package: Path) -> Iterator[str]:
    for folder in folders(package):
        modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        if not modules:
            continue
        yield f"\n`{folder.relative_to(ROOT).as_posix()}/`: {first_line(folder / '__init__.py')}\n"
        yield "| file | what is in it |\n|---|---|"
        yield from (f"| `{path.name}` | {first_line(path)} |" for path in modules)


def section() -> str:
    """The section of the document, heading included."""
    lines = [*lines_of(ROOT / "edge_asd"), *lines_of(ROOT / "export" / "edge_asd_export")]
    return HEADING + "\n".join(lines) + "\n"


if __name__ == "__main__":
    before = DOCUMENT.read_text(encoding="utf-8").partition(HEADING)[0]
    DOCUMENT.write_text(before + section(), encoding="utf-8")
