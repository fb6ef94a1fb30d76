"""``edge-asd shelve``: no alarm until a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from edge_asd.commands import options
from edge_asd.errors import UsageError

__all__ = ["shelve"]


def shelve(
    duration: Annotated[
        str | None, typer.Option("--for", help="How long: 90s, 30m, 2h, 1d; at most 30d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Or until when, in UTC: 2026-11-23T06:00Z.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Raise alarms again, now.")] = False,
    machine: options.Machine = None,
    note: options.Note = "",
    profile: options.Profile = "default",
    state: options.State = None,
) -> None:
    """Raise no alarm for a while: the machine is cleaned, moved or repaired.

    An alarm that is on is closed. The monitor goes on scoring; what still sounds
    wrong when the time is over is raised then. Every output is given an event with the note.

    Examples

        edge-asd shelve --for 2h --note "cleaning"

        edge-asd shelve --until 2026-11-23T06:00Z --machine pump-3

        edge-asd shelve --off
    """
    from edge_asd.control.monitors import ask_monitor
    from edge_asd.events.event import utc_text

    if sum(chosen is not None for chosen in (duration, until, off or None)) != 1:
        raise UsageError("give one of --for, --until and --off")
    end = None if off else _end(duration, until, datetime.now(UTC))
    roots = options.known_state_roots(state, profile)
    if end is None:
        ask_monitor(roots, machine, "unshelve")
        typer.echo("alarms are raised again")
        return
    reply = ask_monitor(roots, machine, "shelve", until=utc_text(end), note=note)
    closed = f"; {reply['alarm_id']} is closed" if reply.get("alarm_id") else ""
    typer.echo(f"no alarm is raised until {reply.get('until')}{closed}")


def _end(duration: str | None, until: str | None, now: datetime) -> datetime:
    """Return when shelving ends: at most 30 days from now."""
    from edge_asd.alarm.life_cycle import LONGEST_SHELVING_S

    if duration is not None:
        wanted, seconds = f"--for {duration}", options.seconds_of("--for", duration)
    else:
        wanted = f"--until {until}"
        seconds = (options.utc_time("--until", until or "") - now).total_seconds()
    if not seconds > 0:
        raise UsageError(f"{wanted} is over already; name a time that is still to come")
    if seconds > LONGEST_SHELVING_S:
        raise UsageError(f"{wanted} is too long; alarms can be shelved for at most 30d")
    return now + timedelta(seconds=seconds)
