"""``edge-asd demo``: does all of it work here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_asd.command_line import as_typed
from edge_asd.errors import EdgeAsdError

if TYPE_CHECKING:
    from edge_asd_export.demo.run import Made

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for everything made; a finished demo there is replaced, one that was "
            "stopped goes on, another fault is listened to with the bundle that is there."
        ),
    ] = Path("demo"),
    machine: Annotated[str, typer.Option(help="Synthetic machine that breaks.")] = "fan",
    fault: Annotated[
        str | None,
        typer.Option(help="What breaks.  [default: rubbing; of others, the machine's first]"),
    ] = None,
    fault_level: Annotated[
        Literal["subtle", "strong"], typer.Option(help="How pronounced the fault is.")
    ] = "strong",
    system: Annotated[str, typer.Option(help="Detection system.")] = "system5",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training clips.  [default: the system's]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same recordings.")] = 0,
) -> None:
    """Run the whole path once on synthetic machines.

    Makes recordings, trains, exports an int8 bundle, checks and evaluates it, then plays a
    recording with a planted fault to `edge-asd listen` and shows which alarms it raises, with
    their sound and their explanation. Every step is an edge-asd command, printed before it runs.
    Exit code 1 if the fault raised none. Synthetic machines are easy: the figures say that the
    path works, not how well it does on yours.

    Examples

        edge-asd demo

        edge-asd demo --machine valve --fault leak

        edge-asd demo --system system3 --out /tmp/demo --epochs 10
    """
    from edge_asd.bundle.system import system_named
    from edge_asd_export.demo.plan import Plan, Planted
    from edge_asd_export.demo.run import run_demo
    from edge_asd_export.synth.catalogue import find_fault, find_machine

    system_named(system)
    kind = find_machine(machine)
    if kind.name == Planted().machine:
        fault = fault or Planted().fault
    planted = Planted(kind.name, find_fault(kind, fault), fault_level)
    plan = Plan(system=system, epochs=epochs, seed=seed, planted=planted)
    try:
        made = run_demo(out, plan, lambda text: typer.echo(f"\n{text}", err=True))
    except KeyboardInterrupt:
        typer.echo("\nstopped; the same command goes on from here", err=True)
        raise
    _print(made)
    if missed := made.outcome.missed():
        raise EdgeAsdError(missed)


def _print(made: Made) -> None:
    from rich.console import Console
    from rich.table import Table

    from edge_asd_export.demo.page import NEXT_COMMANDS

    outcome = made.outcome
    table = Table(
        "", "from", "to", title=f"{outcome.planted.recorded_as}, seconds of the recording"
    )
    table.add_row(
        f"planted fault, {outcome.planted.level} {outcome.planted.fault}",
        f"{outcome.planted.normal_s:.1f}",
        f"{outcome.planted.end_s:.1f}",
    )
    for alarm in outcome.alarms:
        cleared = "still on" if alarm.cleared_s is None else f"{alarm.cleared_s:.1f}"
        table.add_row("alarm", f"{alarm.raised_s:.1f}", cleared)
    if not outcome.alarms:
        table.add_row("alarm", "none", "")
    typer.echo()
    Console().print(table)
    for kept in made.alarms:
        typer.echo(f"why: {kept.heard.why}")
        for what, path in (("its picture", kept.picture), ("its sound", kept.clip)):
            if path:
                typer.echo(f"{what}: {path}")
    typer.echo(f"scores over time: {made.picture}")
    typer.echo(f"all of it in a browser, nothing to install: {made.page.resolve().as_uri()}")
    typer.echo("\nAll of this is synthetic. Next, your own machine:")
    for where, command in NEXT_COMMANDS:
        typer.echo(as_typed(f"  # {where}\n  {command}"))
