"""``edge-asd service``: start the monitor at boot, and see how it is."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.command_line import as_typed
from edge_asd.commands import options
from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_asd.service.plan import Setup
    from edge_asd.service.setup import Step

__all__ = ["service"]

service = typer.Typer(
    no_args_is_help=True,
    help="Start the monitor at boot with systemd, and see how it is.",
)

_Root = Annotated[
    Path, typer.Option(help="Another system's root folder, to prepare an image.", file_okay=False)
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@service.command("install")
def install(
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: options.Machine = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Profile to copy: a built-in name or a .toml file; else the installed."),
    ] = None,
    usb: Annotated[
        str | None,
        typer.Option(help="Give this USB card a lasting name: VENDOR:PRODUCT[:SERIAL]."),
    ] = None,
    user: Annotated[str, typer.Option(help="Whom the monitor runs as.")] = "edge-asd",
    root: _Root = Path("/"),
    now: Annotated[bool, typer.Option("--now", help="Also start it now.")] = False,
    dry_run: _DryRun = False,
) -> None:
    """Make the monitor of a machine start at boot, and again whenever it ends.

    Writes a systemd unit, the machine's profile and its environment file to /etc, makes the
    user that the monitor runs as, and says each thing that it does. Doing it again changes
    only what differs: a profile that was edited in /etc stays unless --profile is given.

    Examples

        sudo edge-asd service install --bundle /opt/bundles/pumps --machine pump --now

        sudo edge-asd service install --profile raspberry-pi-5 --usb 0d8c:0014

        edge-asd service install --bundle /opt/bundles/pumps --dry-run

        edge-asd service install --bundle /opt/bundles/pumps --root build/image
    """
    from edge_asd.service import setup as core
    from edge_asd.service.plan import DEFAULT_USER, Setup, usb_card

    _require_root(root, dry_run=dry_run)
    bundle = bundle.absolute()
    setup = Setup(
        machine=_resolved(bundle, machine, root),
        bundle=bundle,
        command=core.edge_asd_command(),
        user=user,
        usb=usb_card(usb) if usb else "",
    )
    if root == Path("/") and user == DEFAULT_USER:
        core.require_reach([bundle, Path(setup.command[0])], user)
    _perform(core.install(setup, profile=profile, root=root, start=now), dry_run=dry_run)
    if setup.usb:
        typer.echo(f'its sound card is called "hw:{setup.card_id}": name it in {setup.profile}')
    for command in core.next_commands(setup, root=root, start=now):
        typer.echo(f"next: {command}")


@service.command("uninstall")
def uninstall(
    machine: options.Machine = None, root: _Root = Path("/"), dry_run: _DryRun = False
) -> None:
    """Stop the monitor of a machine and no longer start it at boot.

    Its profile and environment file in /etc/edge-asd stay, and so does all that it learned.

    Examples

        sudo edge-asd service uninstall --machine pump
    """
    from edge_asd.service import setup as core

    _require_root(root, dry_run=dry_run)
    setup = _installed(machine, root)
    _perform(core.uninstall(setup, root=root), dry_run=dry_run)
    typer.echo(f"kept: {setup.profile}, {setup.env}, and what the machine's monitor learned")


@service.command("status")
def status(
    machine: options.Machine = None,
    root: _Root = Path("/"),
    profile: Annotated[
        str | None, typer.Option(help="Profile of the monitor; else the one that is installed.")
    ] = None,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Show the state of the services, and of the monitors that they run.

    Exit code: 0 every service is enabled, runs, and hears well; 1 one of them does not.

    Examples

        sudo edge-asd service status

        sudo edge-asd service status --machine pump --json
    """
    from edge_asd.commands import tables
    from edge_asd.service.report import report, service_lines

    pages = report(root, machine=machine, profile=profile, state=state)
    for page in pages:
        if as_json:
            typer.echo(json.dumps(page.to_dict()))
        else:
            lines = ((f"  {name}", value) for name, value in service_lines(page).items())
            tables.plain_console().print(page.unit, tables.grid(lines), sep="\n")
    if not pages:
        typer.echo(as_typed("no service is installed: sudo edge-asd service install"), err=True)
    if not pages or not all(page.healthy for page in pages):
        raise typer.Exit(1)


def _require_root(root: Path, *, dry_run: bool) -> None:
    import os

    if os.geteuid() != 0 and root == Path("/") and not dry_run:
        raise UsageError("this changes /etc: run it with sudo, or with --dry-run or --root DIR")


def _resolved(bundle: Path, machine: str | None, root: Path) -> str:
    """Name of the machine; one that the bundle does not know has to be enrolled."""
    from edge_asd.bundle.bundle import Bundle
    from edge_asd.state.folder import require_name
    from edge_asd.state.places import SERVICE_STATE, below

    inside = below(root, bundle)
    opened = Bundle.open(inside if inside.is_dir() else bundle, verify=False)
    if machine is not None and machine not in opened.manifest.machines:
        command = (
            f"sudo edge-asd enroll --bundle {shlex.quote(str(bundle))} "
            f"--machine {shlex.quote(machine)} --state {SERVICE_STATE}"
        )
        note = f"note: the bundle does not know {machine}; unless that is done: {command}"
        typer.echo(as_typed(note), err=True)
        return require_name(machine)
    return opened.resolve_machine(machine)


def _installed(machine: str | None, root: Path) -> Setup:
    from edge_asd.service.plan import Setup
    from edge_asd.service.systemd import enabled_instances
    from edge_asd.state.places import below

    instances = enabled_instances(root)
    if machine is None and len(instances) != 1:
        there_are = ", ".join(instances) or "none"
        raise UsageError(f"which service? installed: {there_are}; name one with --machine")
    setup = Setup(machine=machine or instances[0], bundle=Path("/"), command=())
    if not below(root, setup.env).is_file():
        raise UsageError(f"there is no service of {setup.machine!r}: {setup.env} is missing")
    return setup


def _perform(steps: Iterable[Step], *, dry_run: bool) -> None:
    n_steps = 0
    for step in steps:
        typer.echo(f"would {step.text}" if dry_run else step.text)
        if not dry_run:
            step.perform()
        n_steps += 1
    if not n_steps:
        typer.echo("nothing to do: all of it is in place")
