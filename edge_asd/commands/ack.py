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
    from edge_asd.control.monitors import ask_monitor

    roots = options.known_state_roots(state, profile)
    reply = ask_monitor(roots, machine, "ack", note=note)
    typer.echo(f"acknowledged {reply.get('alarm_id')}")
