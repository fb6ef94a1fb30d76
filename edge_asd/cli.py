"""The ``edge-asd`` command: global options, one line per error, the table of commands.

A command is one function in one file: ``commands/<name>.py`` of this package for the
device, of ``edge_asd_export`` for the workstation. Those files import nothing heavy at
module level, which keeps ``edge-asd --help`` quick on a small device.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from inspect import getdoc
from io import TextIOWrapper
from types import TracebackType
from typing import Annotated

import typer
from typer.core import TyperGroup

from edge_asd import __version__
from edge_asd.command_line import DEVICE_COMMANDS, WORKSTATION_COMMANDS, as_typed, program
from edge_asd.errors import EdgeAsdError, UsageError, one_line

__all__ = ["WORKSTATION_REQUIREMENTS", "app", "main"]

WORKSTATION_REQUIREMENTS = (
    "edge_asd_export",
    "jinja2",
    "matplotlib",
    "onnx",
    "requests",
    "scipy",
    "sklearn",
    "torch",
)

_EXIT_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C


class _OneLineErrors(TyperGroup):
    """Turns an error that a user can mend into one line on stderr and its exit code."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except (EdgeAsdError, OSError, KeyboardInterrupt) as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):
                raise
            if isinstance(error, KeyboardInterrupt):
                typer.echo("interrupted", err=True)
                raise typer.Exit(_EXIT_INTERRUPTED) from None
            typer.echo(as_typed(f"error: {one_line(error)}"), err=True)
            raise typer.Exit(getattr(error, "exit_code", 1)) from None


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=as_typed(
        "Start with `edge-asd devices` on the device, `edge-asd demo` on a workstation."
    ),
)


def main() -> None:
    """Run the command line; an unexpected error is one line, too."""
    _fill_closed_descriptors()
    _speak_utf8()
    sys.excepthook = _report_internal_error
    # Calling `app` itself would put Typer's hook in place of this one.
    typer.main.get_command(app)(prog_name=program())


def _fill_closed_descriptors() -> None:
    """Keep the numbers of closed standard streams from files that are opened later.

    A library that writes to number 2 must not write into such a file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _speak_utf8() -> None:
    """See to it that names, paths and output are UTF-8, even where the locale is another.

    Python decides on its encoding before the first line of a program, so it begins again.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        arguments = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execv(sys.executable, arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of files may hold any bytes
            stream.reconfigure(errors="backslashreplace")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-asd {__version__}")
        raise typer.Exit


@app.callback()
def _edge_asd(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log details to stderr.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Learn a machine's normal sound on a workstation, raise alarms on a small device."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for package in ("edge_asd", "edge_asd_export"):
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)
    if debug:
        sys.excepthook = sys.__excepthook__


def _report_internal_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    print(
        f"internal error: {kind.__name__}: {one_line(error)}; "
        f"run again with '{program()} --debug ...' for the traceback",
        file=sys.stderr,
    )


def _missing_workstation_command(name: str, summary: str) -> Callable[[], None]:
    """Stand in for a workstation command on a machine without the extra."""

    def stand_in() -> None:
        raise UsageError(
            f"'edge-asd {name}' needs the workstation extra: pip install 'edge-asd[export]'"
        )

    stand_in.__doc__ = f"{summary} Needs the workstation extra: `pip install 'edge-asd[export]'`."
    return stand_in


def _mount(name: str, package: str, panel: str) -> None:
    command = getattr(import_module(f"{package}.commands.{name}"), name)
    if isinstance(command, typer.Typer):
        for part in command.registered_commands:
            part.help = as_typed(getdoc(part.callback) or "")
        app.add_typer(command, name=name, rich_help_panel=panel)
    else:
        app.command(name, rich_help_panel=panel, help=as_typed(getdoc(command) or ""))(command)


def _mount_all() -> None:
    for name in DEVICE_COMMANDS:
        _mount(name, "edge_asd", "On the device")
    installed = all(find_spec(requirement) for requirement in WORKSTATION_REQUIREMENTS)
    for name, summary in WORKSTATION_COMMANDS.items():
        if installed:
            # By name, because the device package never imports the workstation's.
            _mount(name, "edge_asd_export", "On the workstation")
        else:
            app.command(
                name,
                rich_help_panel="On the workstation (needs the export extra)",
                context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            )(_missing_workstation_command(name, summary))


_mount_all()
