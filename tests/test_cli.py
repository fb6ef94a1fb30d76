"""Global options, exit codes and one-line errors of the command."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from edge_asd import __version__
from edge_asd.cli import app
from edge_asd.command_line import DEVICE_COMMANDS, WORKSTATION_COMMANDS
from edge_asd.errors import AudioError, DataError, EdgeAsdError, UsageError

FAILURES: dict[str, BaseException] = {
    "usage": UsageError("no such machine"),
    "failure": AudioError("no sound"),
    "problems": DataError("2 problems:\na.wav: empty\nb.wav: mono"),
    "disk": OSError(28, "No space left on device", "/full/disk"),
    "interrupt": KeyboardInterrupt(),
}


@pytest.fixture
def failing_app() -> Iterator[typer.Typer]:
    """The application with one more command, which raises what it is asked for."""

    @app.command("fail")
    def fail(kind: str) -> None:
        raise FAILURES[kind]

    yield app
    app.registered_commands.pop()


def test_version_is_printed_on_stdout() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.stdout == f"edge-asd {__version__}\n"


def test_no_arguments_show_the_help() -> None:
    result = CliRunner().invoke(app, [])

    assert "Usage: " in result.output
    for name in (*DEVICE_COMMANDS, *WORKSTATION_COMMANDS):
        assert f" {name} " in result.output


def test_an_unknown_command_exits_with_2() -> None:
    result = CliRunner().invoke(app, ["lissen"])

    assert result.exit_code == 2
    assert "lissen" in result.stderr


@pytest.mark.parametrize("name", [*DEVICE_COMMANDS, *WORKSTATION_COMMANDS])
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])

    assert result.exit_code == 0
    assert re.search(rf"Usage: .*\b{name}\b", result.output)


@pytest.mark.parametrize(
    ("kind", "exit_code", "line"),
    [
        ("usage", 2, "error: no such machine"),
        ("failure", 1, "error: no sound"),
        ("problems", 1, "error: 2 problems:\na.wav: empty\nb.wav: mono"),
        ("disk", 1, "error: /full/disk: No space left on device"),
        ("interrupt", 130, "interrupted"),
    ],
)
def test_a_failure_is_its_message_on_stderr_and_an_exit_code(
    failing_app: typer.Typer, kind: str, exit_code: int, line: str
) -> None:
    result = CliRunner().invoke(failing_app, ["fail", kind])

    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr == line + "\n"


def test_debug_lets_the_error_through(failing_app: typer.Typer) -> None:
    result = CliRunner().invoke(failing_app, ["--debug", "fail", "usage"])

    assert isinstance(result.exception, EdgeAsdError)


@pytest.mark.parametrize(
    ("options", "first_line"),
    [
        ([], "internal error: ZeroDivisionError: division by zero; run again with"),
        (["--debug"], "Traceback (most recent call last)"),
    ],
)
def test_an_internal_error_is_one_line_unless_debugging(
    options: list[str], first_line: str
) -> None:
    code = """
from edge_asd.cli import app, main
@app.command("fail")
def fail() -> None:
    1 / 0
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, *options, "fail"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert result.returncode == 1
    assert result.stderr.startswith(first_line)
    assert (len(result.stderr.splitlines()) == 1) == (not options)


def test_python_dash_m_is_the_same_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "edge_asd", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert result.stdout == f"edge-asd {__version__}\n"
