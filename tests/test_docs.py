"""The documents show only commands, options, targets and files that exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
from places import ROOT
from typer.testing import CliRunner

from edge_asd import __version__
from edge_asd.cli import app

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BEFORE_COMMANDS = {"sudo", "|", "&&", ";"}
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)")


def shell_lines(document: Path) -> list[str]:
    """Commands of the document's shell blocks, continuation lines joined."""
    blocks = BLOCK.findall(document.read_text(encoding="utf-8"))
    return "".join(blocks).replace("\\\n", " ").splitlines()


def edge_asd_calls() -> list[tuple[str, list[str]]]:
    calls = []
    for document in DOCUMENTS:
        for line in shell_lines(document):
            words = shlex.split(line, comments=True)
            for position, word in enumerate(words):
                is_command = position == 0 or words[position - 1] in BEFORE_COMMANDS
                if is_command and Path(word).name == "edge-asd":
                    rest = words[position + 1 :]
                    end = next((i for i, w in enumerate(rest) if w in {"|", "&&", ";", ">"}), None)
                    calls.append((f"{document.name}: {line.strip()}", rest[:end]))
    return calls


@cache
def help_text(*command: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command, "--help"])
    assert result.exit_code == 0, f"edge-asd {' '.join(command)} does not exist"
    return result.output


@pytest.mark.parametrize("where_and_call", edge_asd_calls(), ids=lambda call: call[0])
def test_every_command_and_option_in_the_documents_exists(
    where_and_call: tuple[str, list[str]],
) -> None:
    _, words = where_and_call
    command = words[: 2 if words[0] in {"data", "service"} else 1]

    text = help_text() if command[0].startswith("-") else help_text(*command)

    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), option


def test_the_readme_shows_commands() -> None:
    assert any(where.startswith("README.md") for where, _ in edge_asd_calls())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_in_the_documents_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    shown = {line.split()[1] for line in shell_lines(document) if line.startswith("make ")}

    assert shown <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
