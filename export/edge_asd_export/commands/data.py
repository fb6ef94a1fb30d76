"""`edge-asd data`: get recordings, and look at them before training on them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_asd_export.data.clips import Inventory
    from edge_asd_export.table import Table

__all__ = ["data"]

data = typer.Typer(no_args_is_help=True, help="Fetch, inspect and verify recordings.")


@data.callback()
def _data() -> None:
    """Fetch, inspect and verify recordings."""


@data.command()
def check(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Folders of machine folders, or machine folders."),
    ],
    takes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of file, take: which clips are of one recording.  [default: found]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Read every clip; print an inventory and everything that is wrong.

    Expects the layout of the DCASE challenge: `DIR/<machine>/train/*.wav` and
    `DIR/<machine>/test/*.wav` (or `.flac`), two channels (near, far), 16 kHz, all clips of a
    machine equally long, names like `section_00_source_train_normal_0000_spd_1.wav`.

    The sound is checked by what the monitor checks live. Training clips are excluded, here and by
    `train` and `export`, where it would not be scored (silent, stuck, a dead channel, far beyond
    full scale), where both channels are one signal, and where near and far are exchanged beside
    the machine's other clips. Clipping, an offset, a level unlike the others' and whatever is
    wrong with test clips are warnings.

    Takes, training clips that share sound, are found and written beside the clips as `takes.csv`
    (columns file, take); where that file is, it is read instead.

    Exit code: 0 all clips are usable, 1 some are not, or are excluded, 2 a folder is missing.

    Examples

    `edge-asd data check recordings`

    `edge-asd data check recordings --takes my_takes.csv`

    `edge-asd data check dev_data eval_data --json | jq .problems`
    """
    from edge_asd_export.data.clips import scan
    from edge_asd_export.data.inventory import inventory_json, inventory_table, takes_table
    from edge_asd_export.data.takes import takes_of
    from edge_asd_export.progress import progress_bar

    say = partial(typer.echo, err=True)
    with progress_bar("reading clips", transient=True) as advance:
        inventory = scan(folders, progress=advance)
    for note in inventory.notes:
        say(note)
    with progress_bar("comparing clips", transient=True) as advance:
        of_clips = takes_of(
            inventory.machines, file=takes, say=say, progress=advance, white=inventory.white
        )
    if as_json:
        typer.echo(json.dumps(inventory_json(inventory, of_clips), indent=2))
    else:
        _print_table(inventory_table(inventory))
        _print_table(takes_table(inventory, of_clips))
        _print_problems(inventory)
    if inventory.problems or any(finding.excluded for finding in inventory.findings):
        raise typer.Exit(1)


@data.command()
def fetch(
    data_set: Annotated[str, typer.Argument(metavar="DATASET", help="Only `dcase2026` so far.")],
    part: Annotated[str, typer.Option(help="`dev`, `additional` or `eval`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the machine folders.")],
    machine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this machine; may be given several times."),
    ] = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Leave the zip files in `DIR/.archives`.")
    ] = False,
    base_url: Annotated[
        str,
        typer.Option(
            envvar="EDGE_ASD_ZENODO_URL", metavar="URL", help="A mirror with Zenodo's paths."
        ),
    ] = "https://zenodo.org",
) -> None:
    """Download public recordings and unpack them into the layout that `train` reads.

    The recordings of DCASE 2026 Challenge Task 2, two channels, 16 kHz, on Zenodo:

    `dev`: record 19336329, 4.6 GB, unpacked 5.6 GB. Normal training and labelled test clips of
    ToyCar, ToyCarEmu, bearingEmu, fan, gearboxEmu, sliderEmu, valveEmu.

    `additional`: record 20151556, 2.8 GB, unpacked 3.3 GB. Normal training clips of
    BlowerDustCollector, Sander, SewingMachine, ToothBrush, ToyDrone.

    `eval`: record 20437238, 0.6 GB, unpacked 0.7 GB. Anonymous test clips of the same five;
    fetch both parts into one folder.

    The audio is licensed CC BY-NC-SA 4.0, for non-commercial use. Works that use it cite the
    data set as its record asks: https://doi.org/10.5281/zenodo.19336329 and so on.

    Archives are verified and, once unpacked, removed. After an interruption the same command
    goes on where it stopped; machines that are there already are skipped.

    Exit code: 0 all clips are there and usable, 1 something failed, 2 no such part or machine.

    Examples

    `edge-asd data fetch dcase2026 --part dev --out dcase2026/dev`

    `edge-asd data fetch dcase2026 --part dev --machine fan --machine ToyCar --out dcase2026/dev`

    `edge-asd data fetch dcase2026 --part additional --out dcase2026/eval`

    `edge-asd data fetch dcase2026 --part eval --out dcase2026/eval`
    """
    from edge_asd_export.data.clips import scan
    from edge_asd_export.data.fetch import fetch as fetch_part
    from edge_asd_export.data.fetch_catalogue import load_catalogue
    from edge_asd_export.data.inventory import inventory_table
    from edge_asd_export.progress import download_bars

    catalogue = load_catalogue(data_set)
    wanted = catalogue.part(part)
    machines = wanted.machines(machine or [])
    with download_bars() as (say, advance):
        try:
            fetch_part(
                wanted, machines, out, say, advance, base_url=base_url, keep_archives=keep_archives
            )
        except KeyboardInterrupt:
            say(f"what has arrived is kept in {out}: run the same command again to go on")
            raise
    folders = [out / name for name in machines]
    trainless = [folder for folder in folders if not (folder / "train").is_dir()]
    found = scan(folders, read_samples=False)
    inventory = replace(found, problems=[p for p in found.problems if p.path not in trainless])
    _print_table(inventory_table(inventory))
    _print_problems(inventory)
    for folder in trainless:
        typer.echo(f"{folder.name}: no train clips yet; fetch the other part into {out}", err=True)
    typer.echo(
        f"{catalogue.title}: {catalogue.licence}; cite https://doi.org/{wanted.doi}", err=True
    )
    if inventory.problems:
        raise typer.Exit(1)


def _print_table(table: Table) -> None:
    from rich.console import Console

    from edge_asd_export.table import as_rich

    Console().print(as_rich(table))


def _print_problems(inventory: Inventory) -> None:
    for one in (*inventory.problems, *inventory.findings):
        typer.echo(str(one))
    n_problems = len(inventory.problems)
    counts = [f"{n_problems or 'no'} problem{'' if n_problems == 1 else 's'}"]
    if n_excluded := len({one.path for one in inventory.findings if one.excluded}):
        counts.append(f"{n_excluded} clip{'' if n_excluded == 1 else 's'} excluded from training")
    if n_warnings := sum(not one.excluded for one in inventory.findings):
        counts.append(f"{n_warnings} warning{'' if n_warnings == 1 else 's'}")
    typer.echo(", ".join(counts))
