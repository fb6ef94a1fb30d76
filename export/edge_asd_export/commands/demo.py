"""``edge-asd demo``: does all of it work here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.command_line import as_typed

if TYPE_CHECKING:
    from edge_asd_export.demo import Outcome, Plan

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for everything made; a finished demo there is replaced, one that was "
            "stopped goes on."
        ),
    ] = Path("demo"),
    system: Annotated[str, typer.Option(help="Detection system.")] = "system4",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training clips.")] = 18,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same recordings.")] = 0,
) -> None:
    """Run the whole path once on synthetic machines.

    Makes recordings, trains, exports an int8 bundle, checks and evaluates it, then plays a
    recording with a planted fault to `edge-asd listen` and shows which alarms it raises. Every
    step is an edge-asd command, printed before it runs. Synthetic machines are easy: the figures
    say that the path works, not how well it does on yours.

    Examples

        edge-asd demo

        edge-asd demo --system system3 --out /tmp/demo --epochs 10
    """
    from edge_asd.bundle.system import system_named
    from edge_asd_export.demo import Plan, run_demo

    system_named(system)
    plan = Plan(system=system, epochs=epochs, seed=seed)
    try:
        outcome = run_demo(out, plan, lambda text: typer.echo(f"\n{text}", err=True))
    except KeyboardInterrupt:
        typer.echo("\nstopped; the same command goes on from here", err=True)
        raise
    _print(outcome, plan)
    listen = f"edge-asd listen --bundle {out / 'bundle'} --machine {plan.machine}"
    typer.echo(as_typed(f"next: {listen} --input {out / 'stream.wav'}"), err=True)


def _print(outcome: Outcome, plan: Plan) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "from", "to", title=f"{plan.machine}, seconds of the stream")
    table.add_row("planted fault", f"{plan.normal_s:.1f}", f"{plan.fault_end_s:.1f}")
    for raised_s, cleared_s in outcome.alarms:
        table.add_row(
            "alarm", f"{raised_s:.1f}", "still on" if cleared_s is None else f"{cleared_s:.1f}"
        )
    if not outcome.alarms:
        table.add_row("alarm", "none", "")
    Console().print(table)
    for picture in outcome.pictures:
        typer.echo(f"picture: {picture}")
