"""``edge-asd devices``: which sound cards can it listen to?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_asd.sound_device import InputDevice

__all__ = ["devices"]


def devices(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per device on stdout.")
    ] = False,
) -> None:
    """List the sound devices that can record.

    A device is usable when it has two channels or more: the near and the far microphone.
    Give its ALSA numbers, name or index to `listen --device`.

    Examples

        edge-asd devices

        edge-asd devices --json
    """
    import json
    from dataclasses import asdict

    from edge_asd.sound_device import input_devices

    found = input_devices()
    if as_json:
        for device in found:
            typer.echo(json.dumps(asdict(device) | {"usable": device.usable}))
    elif found:
        _print_table(found)
    else:
        typer.echo("no sound device can record; plug one in and check 'arecord -l'", err=True)


def _print_table(found: list[InputDevice]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("index", "name", "host API", "channels", "default rate", "usable"):
        table.add_column(heading, justify="right" if heading in ("index", "channels") else "left")
    for device in found:
        table.add_row(
            str(device.index),
            device.name + (" *" if device.is_default else ""),
            device.host_api,
            str(device.n_channels),
            f"{device.default_rate_hz} Hz",
            "yes" if device.usable else "no, needs 2 channels",
        )
    width = None if Console().is_terminal else 160
    Console(width=width, markup=False, emoji=False).print(table)  # names may hold brackets
    typer.echo("* the system's default", err=True)
