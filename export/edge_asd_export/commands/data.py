"""`edge-asd data`: look at recordings before training on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["data"]

data = typer.Typer(no_args_is_help=True, help="Inspect and verify recordings.")


@data.callback()
def _data() -> None:
    """Inspect and verify recordings."""


@data.command()
def check(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Folders of machine folders, or machine folders."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Read every clip; print an inventory and everything that is wrong.

    Expects the layout of the DCASE challenge: `DIR/<machine>/train/*.wav` and
    `DIR/<machine>/test/*.wav` (or `.flac`), two channels (near, far), 16 kHz, all clips of a
    machine equally long, names like `section_00_source_train_normal_0000_spd_1.wav`.

    Exit code: 0 all clips are usable, 1 there are problems, 2 a folder is missing.

    Try:

    `edge-asd data check recordings`

    `edge-asd data check dev_data eval_data --json | jq .problems`
    """
    from rich.console import Console
    from rich.progress import Progress

    from edge_asd_export.clips import scan
    from edge_asd_export.inventory import inventory_json, inventory_table

    log = Console(stderr=True)
    with Progress(console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task("reading clips", total=None)
        inventory = scan(
            folders, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        typer.echo(json.dumps(inventory_json(inventory), indent=2))
    else:
        Console().print(inventory_table(inventory))
        for problem in inventory.problems:
            typer.echo(f"{problem.path}: {problem.reason}")
        n_problems = len(inventory.problems)
        typer.echo(f"{n_problems or 'no'} problem{'' if n_problems == 1 else 's'}")
    if inventory.problems:
        raise typer.Exit(1)
