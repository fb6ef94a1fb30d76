"""``edge-asd history``: what a machine sounded like."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_asd.commands import options
from edge_asd.errors import ControlError, StateError, UsageError

if TYPE_CHECKING:
    from edge_asd.history.reading import History
    from edge_asd.history.report import Period
    from edge_asd.state.folder import StateFolder

__all__ = ["history"]

_MOST_TOLD = 10
_PIPE_WIDTH = 100
_TOLD = {
    "alarm_raised": "alarm",
    "fault_raised": "fault",
    "notice": "notice",
}


def history(
    machine: Annotated[
        str | None,
        typer.Argument(
            callback=options.name_of, help="May be left out where there is only one machine."
        ),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="How far back, such as 12h, 7d or 400d.")
    ] = "7d",
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV on stdout: minutes, hours or days, as kept.")
    ] = False,
    as_json: options.Json = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw a picture of it.", metavar="FILE.png")
    ] = None,
    profile: options.Profile = "default",
    state: options.State = None,
) -> None:
    """Show what a machine sounded like: scores, levels, alarms, faults, and when it was heard.

    A line is a day, or a month where they are many. Minutes are kept for 14 days, hours for 400,
    days for ever; exports are as fine as all of the asked time is kept. Times are UTC.

    Examples

        edge-asd history

        edge-asd history pump-3 --since 30d

        edge-asd history pump-3 --since 2h --csv > pump-3.csv

        edge-asd history pump-3 --since 400d --plot pump-3.png
    """
    if sum((as_csv, as_json, plot is not None)) > 1:
        raise UsageError("--csv, --json and --plot exclude each other; choose one")
    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"--plot {plot} does not end with .png, and a PNG is what is drawn")
    until_s = int(time.time())
    since_s = max(until_s - int(options.seconds_of("--since", since)), 0)
    folder = _folder_of(machine, options.known_state_roots(state, profile))
    found = _read(folder, since_s, until_s)
    name = machine or folder.machine
    if as_csv:
        from edge_asd.history.export import write_csv

        write_csv(found, sys.stdout)
    elif as_json:
        from edge_asd.history.export import json_lines

        for line in json_lines(found):
            typer.echo(line)
    elif plot is not None:
        _draw(found, name, since_s, until_s, plot)
    else:
        _print(found, name, since, since_s, until_s)


def _folder_of(machine: str | None, roots: list[Path]) -> StateFolder:
    from edge_asd.control.monitors import find_monitors
    from edge_asd.state.folder import folder_name

    found = find_monitors(roots)
    names = ", ".join(folder.machine for folder in found)
    if machine is not None:
        found = [folder for folder in found if folder.path.name == folder_name(machine)]
    elif len(found) > 1:
        raise UsageError(f"there are {names}; name one: edge-asd history {found[0].machine}")
    if not found:
        others = f"; there are {names}" if names else ""
        raise ControlError(
            f"no monitor{f' of {machine!r}' if machine else ''} has run yet{others}; start one "
            "with 'edge-asd listen', or give the --profile or --state that it has"
        )
    return found[0]


def _read(folder: StateFolder, since_s: int, until_s: int) -> History:
    from edge_asd.history.reading import read_history
    from edge_asd.state.trust import acting_as_owner

    try:
        with acting_as_owner(folder.path):
            return read_history(folder.history_file, since_s, until_s)
    except FileNotFoundError:
        raise StateError(
            f"{folder.path} has no history yet; a monitor writes its first minute after a minute"
        ) from None


def _draw(found: History, machine: str, since_s: int, until_s: int, plot: Path) -> None:
    from edge_asd.history.plot import draw_history
    from edge_asd.state.atomic import write_atomically

    if found.empty:
        raise StateError("nothing was recorded in that time; try a longer --since")
    first_s = max(since_s, min((part.start for part in found.summaries), default=since_s))
    content = draw_history(found, machine, first_s, until_s)
    try:
        write_atomically(plot, content)
    except OSError as error:
        raise StateError(f"cannot write {plot}: {error.strerror}; name another file") from error
    typer.echo(f"{plot}: {found.span.table} of {machine}", err=True)


def _print(found: History, machine: str, since: str, since_s: int, until_s: int) -> None:
    from edge_asd.commands import tables
    from edge_asd.events.moment import duration
    from edge_asd.history.report import periods

    if found.empty:
        raise StateError(f"nothing of {machine} was recorded in {since}; try a longer --since")
    lines = periods(found, since_s, until_s)
    run = [line.uptime for line in lines]
    heard_s, deaf_s, off_s = (
        sum(getattr(one, name) for one in run) for name in ("heard_s", "deaf_s", "off_s")
    )
    console = tables.plain_console(_PIPE_WIDTH)
    alarms, faults = (sum(getattr(line, name) for line in lines) for name in ("alarms", "faults"))
    console.print(
        f"{machine}, {since}: heard {duration(heard_s)}, deaf {duration(deaf_s)}, off "
        f"{duration(off_s)}; alarms {alarms}, faults {faults}",
        "",
        sep="\n",
    )
    _print_table(console, lines, found)
    told = [event for event in found.events if event.get("event") in _TOLD]
    for number, event in enumerate(told[-_MOST_TOLD:]):
        if number == 0:
            console.print()
        console.print(_told(event))


def _print_table(console: Any, lines: list[Period], found: History) -> None:
    from rich import box
    from rich.table import Table

    from edge_asd.history.report import sparkline

    scores = [score for line in lines for score in line.scores if score is not None]
    levels = [dbfs for line in lines for dbfs in line.levels_dbfs if dbfs is not None]
    thresholds = [part.threshold for part in found.days if part.threshold is not None]
    low, high = min(scores, default=0.0), max(thresholds or scores, default=1.0)
    quiet, loud = min(levels, default=0.0), max(levels, default=1.0)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for heading in ("", "score", "p95", "level", "dBFS", "cond.", "alarms", "faults"):
        side = "left" if heading in ("", "score", "level") else "right"
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for heading in ("heard", "deaf", "off"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        run = line.uptime
        table.add_row(
            line.name,
            sparkline(line.scores, low, high, line.above),
            "" if line.score_p95 is None else f"{line.score_p95:.3g}",
            sparkline(line.levels_dbfs, quiet, loud),
            _whole(line.near_dbfs),
            _whole(line.condition),
            str(line.alarms or ""),
            str(line.faults or ""),
            *map(_hours, (run.heard_s, run.deaf_s, run.off_s)),
        )
    console.print(table)
    threshold = f", threshold {thresholds[-1]:.3g}" if thresholds else ""
    console.print(
        f"score {low:.3g} to {high:.3g}, █ above the threshold{threshold}; near "
        f"{quiet:.0f} to {loud:.0f} dBFS; hours, UTC"
    )


def _told(event: dict[str, Any]) -> str:
    from edge_asd.control.control_socket import plain_text

    when = str(event.get("time"))
    explanation = event.get("explanation")
    text = explanation.get("text", "") if isinstance(explanation, dict) else ""
    what = event.get("detail") or event.get("text") or text or f"score {event.get('score')}"
    name = _TOLD[str(event.get("event"))]
    if event.get("fault"):
        name = f"fault {event['fault']}"
    return plain_text(f"{when[:10]} {when[11:16]}Z  {name}: {what}", 300)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f}" if seconds >= 60 else ""


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
