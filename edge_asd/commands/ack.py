"""``edge-asd ack``: somebody has seen the alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ack"]


def ack(
    machine: Annotated[
        str | None, typer.Option(help="Machine; may be left out if one monitor runs.")
    ] = None,
    note: Annotated[
        str, typer.Option(help="What is known or done about it, in 200 characters.")
    ] = "",
    state: Annotated[
        Path | None, typer.Option(help="Folder of the monitor's state; the usual one if left out.")
    ] = None,
) -> None:
    """Acknowledge the alarm that is on: somebody has seen it.

    The alarm stays on until the machine sounds normal again. Every output of the monitor
    hears that it was acknowledged, and the note.

    Examples

        edge-asd ack

        edge-asd ack --machine pump-3 --note "bearing ordered"
    """
    import os

    from edge_asd.control.control_socket import ask, plain_text
    from edge_asd.control.monitors import control_socket

    path = control_socket(state, machine, os.environ)
    reply = ask(path, "ack", note=plain_text(note))
    typer.echo(f"acknowledged {plain_text(str(reply.get('alarm_id')))}")
