"""``edge-asd devices``: which sound cards can it listen to?"""

from __future__ import annotations

import json
from typing import Any

import typer

from edge_asd.commands import options

__all__ = ["devices"]


def devices(
    as_json: options.Json = False,
) -> None:
    """List the sound devices that can record, and how to name them in a profile.

    A device is usable when it has two channels or more: the near and the far microphone. Where
    it has more, `capture.channels` of a profile says which two, such as `[3, 5]`.
    Index and card number may change with the next boot; the lasting name does not. It is
    the USB vendor and product, with the serial number where two are alike, or the card's id.

    Examples

        edge-asd devices

        edge-asd devices --json

        edge-asd listen --device usb:0d8c:0014
    """
    from dataclasses import asdict

    from edge_asd.capture.sound_device import input_devices, lasting_name

    found = input_devices()
    rows = [
        asdict(device) | {"usable": device.usable, "lasting_name": lasting_name(device, found)}
        for device in found
    ]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    elif rows:
        _print_table(rows)
    else:
        typer.echo("no sound device can record; plug one in and check 'arecord -l'", err=True)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from edge_asd.commands import tables

    headings = ("index", "name", "lasting name", "card", "USB", "channels", "rate", "usable")
    table = tables.table(*headings, right=("index", "channels"))
    for row in rows:
        card = row["card"]
        usb = card and card["usb"]
        table.add_row(
            str(row["index"]),
            row["name"] + (" *" if row["is_default"] else ""),
            row["lasting_name"],
            f"{card['number']} = {card['id']}" if card else "",
            f"{usb['vendor']}:{usb['product']} {usb['serial'] or usb['port']}" if usb else "",
            str(row["n_channels"]),
            f"{row['default_rate_hz']} Hz",
            "yes" if row["usable"] else "no, needs 2 channels",
        )
    tables.plain_console(pipe_width=200).print(table)
    typer.echo("* the system's default; the lasting name belongs in a profile", err=True)
    if any(row["n_channels"] > 2 for row in rows):
        typer.echo("of more than two channels, capture.channels of a profile chooses two", err=True)
