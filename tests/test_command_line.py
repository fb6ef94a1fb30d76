"""How commands are written in what the program says, so that they can be typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_asd.command_line import again, as_typed, program

HINT = "no run at runs/a: make one with 'edge-asd train DATA'"


@pytest.fixture
def environment_bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of a virtual environment that is not active."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    script = folder / "edge-asd"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(sys, "argv", [".venv/bin/edge-asd", "export"])
    return folder


@pytest.mark.usefixtures("environment_bin")
def test_a_program_that_no_shell_finds_is_called_by_its_path() -> None:
    assert program() == ".venv/bin/edge-asd"
    assert as_typed(HINT) == HINT.replace("edge-asd", ".venv/bin/edge-asd")


def test_an_active_environment_needs_the_name_alone(
    environment_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(environment_bin))

    assert program() == "edge-asd"
    assert as_typed(HINT) == HINT


def test_sudo_finds_no_virtual_environment(
    environment_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = str(environment_bin / "edge-asd")
    monkeypatch.setenv("PATH", str(environment_bin))
    monkeypatch.setattr(sys, "argv", [script])

    assert as_typed("sudo edge-asd service install") == f"sudo {script} service install"


def test_sudo_finds_what_is_installed_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/edge-asd"])
    monkeypatch.setenv("PATH", "/none")

    assert as_typed("sudo edge-asd service install") == "sudo edge-asd service install"


@pytest.mark.usefixtures("environment_bin")
@pytest.mark.parametrize(
    "text",
    ["edge-asd needs Python 3.11", "the edge-asd that wrote it", "/var/lib/edge-asd alarms"],
)
def test_the_name_in_a_sentence_or_a_path_stays(text: str) -> None:
    assert as_typed(text) == text


def test_a_path_with_a_blank_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/my programs/edge-asd"])

    assert program() == "'/my programs/edge-asd'"


def test_a_child_of_a_script_is_that_script_and_speaks_of_it(tmp_path: Path) -> None:
    script = tmp_path / "edge-asd"
    script.write_text(
        "import subprocess, sys\n"
        "from edge_asd.command_line import again, program\n"
        "print(program(), flush=True)\n"
        "sys.argv[1:] or subprocess.run([*again(), 'child'], check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.split() == [str(script), str(script)]


def test_what_is_no_script_is_started_again_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest"])

    assert again() == [sys.executable, "-m", "edge_asd"]


def test_errors_and_help_of_an_inactive_environment_can_be_typed(tmp_path: Path) -> None:
    script = tmp_path / "edge-asd"
    script.write_text("from edge_asd.cli import main\nmain()\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin", "COLUMNS": "300"
    }  # fmt: skip

    def said(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, str(script), *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert f"start one with '{script} listen'" in said("ack", "--machine", "pump")
    assert f"{script} check bundles/pumps" in said("check", "--help")
