"""``edge-asd ack``: acknowledge the alarm."""

from __future__ import annotations

import typer

from edge_asd.commands import options

__all__ = ["ack"]


def ack(
    machine: options.Machine = None,
    note: options.Note = "",
    profile: options.Profile = "default",
    state: options.State = None,
) -> None:
    """Acknowledge the alarm that is on: somebody has seen it.

    The alarm stays on until the machine sounds normal again. Every output of the monitor
    is given an event with the note.

    Examples

        edge-asd ack

        edge-asd ack --machine pump-3 --note "bearing ordered"
    """
    from edge_asd.control.control_socket import ask, plain_text
    from edge_asd.control.monitors import control_socket

    path = control_socket(options.known_state_roots(state, profile), machine)
    reply = ask(path, "ack", note=plain_text(note))
    typer.echo(f"acknowledged {plain_text(str(reply.get('alarm_id')))}")
