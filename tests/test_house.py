"""The house stays easy to read: a true list of files, short ones, no circle, no twin names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from file_tables import DOCUMENT, HEADING, section
from places import ROOT

PACKAGES = {"edge_asd": ROOT / "edge_asd", "edge_asd_export": ROOT / "export" / "edge_asd_export"}
MODULES = {
    ".".join((name, *path.relative_to(folder).with_suffix("").parts)): path
    for name, folder in PACKAGES.items()
    for path in folder.rglob("*.py")
}
CEILING_LINES = 400


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_at_load(module: str) -> set[str]:
    """Modules of the project that importing this one imports."""
    found = set()
    for node in tree(MODULES[module]).body:
        match node:
            case ast.Import():
                found |= {name.name for name in node.names}
            case ast.ImportFrom(module=str(source)):
                found |= {source} | {f"{source}.{name.name}" for name in node.names}
    return found & MODULES.keys()


def test_the_architecture_lists_every_file_with_what_it_says_of_itself() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    listed = HEADING + text.partition(HEADING)[2]

    assert listed == section(), "python tests/file_tables.py writes the list anew"


def test_every_module_says_what_it_is() -> None:
    silent = [module for module, path in MODULES.items() if not ast.get_docstring(tree(path))]

    assert silent == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports = {module: imported_at_load(module) for module in MODULES}
    while leaves := [module for module, wanted in imports.items() if not wanted & imports.keys()]:
        for module in leaves:
            del imports[module]

    assert sorted(imports) == []


def test_no_public_class_has_the_name_of_another() -> None:
    names = Counter(
        node.name
        for path in MODULES.values()
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("folder", ["edge_asd", "export", "tests", "benchmarks"])
def test_no_file_is_longer_than_the_ceiling(folder: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }

    assert {path: n for path, n in lengths.items() if n > CEILING_LINES} == {}


def test_what_contributing_says_to_touch_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:edge_asd|export|tests|docs|firmware_config)/[\w./-]+)`", text)

    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
