"""``edge-asd alarms``: the state of machines and of their monitors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_asd.commands import options
from edge_asd.errors import ControlError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from edge_asd.control.monitors import MonitorReport

__all__ = ["alarms"]

_STATE_STYLES = {
    "alarm": "bold red",
    "acknowledged": "red",
    "warning": "yellow",
    "shelved": "cyan",
    "cleared": "green",
    "normal": "green",
    "commissioning": "cyan",
}
_TEXT_CHARACTERS = 1000


def alarms(
    machine: Annotated[
        str | None,
        typer.Option(callback=options.name_of, help="One machine; all of this device if left out."),
    ] = None,
    profile: options.Profile = "default",
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Show the state of every machine, what is wrong with its monitor, and the last alarms.

    Asks the monitors that run on this device. A monitor that does not run, or cannot hear,
    is said to be so: its silence means nothing. `ack` and `shelve` answer an alarm.

    Examples

        edge-asd alarms

        edge-asd alarms --machine pump-3 --json
    """
    from dataclasses import asdict

    from edge_asd.control.monitors import find_monitors, report_on
    from edge_asd.state.folder import folder_name

    found = find_monitors(options.known_state_roots(state, profile))
    if machine is not None:
        found = [folder for folder in found if folder.path.name == folder_name(machine)]
    if not found:
        raise ControlError(
            f"no monitor{f' of {machine!r}' if machine else ''} has run yet; start one with "
            "'edge-asd listen', or give the --profile or --state that it has"
        )
    reports = [report_on(folder) for folder in found]
    if as_json:
        for report in reports:
            typer.echo(json.dumps(asdict(report), ensure_ascii=False))
    else:
        _print(reports)


def _print(reports: list[MonitorReport]) -> None:
    from rich.padding import Padding

    from edge_asd.commands import tables

    console = tables.plain_console()
    headings = ("machine", "state", "since", "score", "threshold", "monitor")
    console.print(_table(headings, map(_state_row, reports)))
    faults = [
        _fault_row(report, fault) for report in reports for fault in report.status.get("faults", ())
    ]
    for sentence in filter(None, map(_condition, reports)):
        console.print("", sentence, sep="\n")
    for report in reports:
        if not report.running and report.trouble:
            machine, trouble = _plain(report.machine), _plain(report.trouble, _TEXT_CHARACTERS)
            console.print("", f"{machine}: {trouble}", sep="\n")
    if faults:
        console.print("", _table(("machine", "fault", "since", "detail"), faults), sep="\n")
    for report in reports:
        if report.alarms:
            console.print()
            folder = Path(report.folder) / "events"
            console.print(f"last alarms of {_plain(report.machine)}, in {folder}:")
        for record in report.alarms:
            name = _plain(Path(record["folder"]).name)
            console.print(f"{name}  {_scores(record)}")
            console.print(Padding(_story(record), (0, 0, 0, 2)))


def _state_row(report: MonitorReport) -> tuple[str | Text, ...]:
    status = report.status
    until = status.get("shelved_until")
    return (
        _plain(report.machine),
        _state(report),
        f"until\n{_time(until)}" if until else _since(status.get("alarm_id")),
        _number(status.get("score")),
        _number(status.get("threshold")),
        _monitor(report),
    )


def _condition(report: MonitorReport) -> str:
    """Return in words how a machine has sounded, and what came of what was promised."""
    from edge_asd.events.moment import duration

    status = report.status
    told = [
        f"{_number(index, 0)} over the last {_plain(period)}"
        for period, index in (status.get("condition") or {}).items()
        if index is not None
    ]
    parts = [f"condition {', '.join(told)} (0 as enrolled, 100 alarm)"] if told else []
    if isinstance(left_s := status.get("commissioning_left_s"), (int, float)):
        parts = [f"no alarms until {duration(left_s)} more are heard, then it arms itself"]
    since = status.get("since_enrolment") or {}
    if since.get("windows"):
        share, per_month = since.get("promised_share"), since.get("promised_alarms_per_month")
        promised = "" if per_month is None else f", promised {_number(per_month, 1)} a month"
        parts.append(
            f"since {_time(since.get('since'))} {_number(since.get('heard_hours'), 1)} h heard, "
            f"{_percent(since.get('share_above'))} of the windows above the threshold, promised "
            f"{_percent(share)}; alarms: {_plain(since.get('alarms'))}{promised}"
            + ("; NOT AS PROMISED" if since.get("kept") is False else "")
        )
    return f"{_plain(report.machine)}: {'; '.join(parts)}" if parts else ""


def _fault_row(report: MonitorReport, fault: dict[str, Any]) -> tuple[str, ...]:
    since = _time(fault.get("since"))
    return _plain(report.machine), _plain(fault.get("fault")), since, _plain(fault.get("detail"))


def _table(headings: Iterable[str], rows: Iterable[tuple[str | Text, ...]]) -> Table:
    """A table that fits 80 columns; what may be long is folded."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        may_be_long = heading in ("machine", "monitor", "detail")
        table.add_column(heading, overflow="fold", no_wrap=not may_be_long)
    for row in rows:
        table.add_row(*row)
    return table


def _scores(record: dict[str, Any]) -> str:
    raised, cleared = record["alarm"], record["cleared"] or {}
    score = _number(cleared.get("max_score", raised.get("score")))
    return f"score {score}, threshold {_number(raised.get('threshold'))}"


def _story(record: dict[str, Any]) -> str:
    """Return when an alarm was raised, whether it is over, and why it was raised."""
    raised = record["alarm"]
    times = f"raised {_time(raised.get('time'))}, {_ended(record)}"
    explanation = raised.get("explanation")
    if not isinstance(explanation, dict):
        return times
    return f"{times}\n{_plain(explanation.get('text'), _TEXT_CHARACTERS)}"


def _ended(record: dict[str, Any]) -> str:
    """Return when an alarm was cleared or closed by shelving, else whether it was seen."""
    known = {str(note.get("event")): note for note in record["notes"]}
    if shelved := known.get("alarm_shelved"):
        return f"shelved {_time(shelved.get('time'))}"
    if record["cleared"]:
        return f"cleared {_time(record['cleared'].get('time'))}"
    return "not cleared, acknowledged" if "alarm_acknowledged" in known else "not cleared"


def _state(report: MonitorReport) -> Text:
    from rich.text import Text

    state = _plain(report.status.get("state")) or "unknown"
    return Text(state, _STATE_STYLES.get(state, "bold red"))


def _monitor(report: MonitorReport) -> Text:
    from rich.text import Text

    if not report.running:
        return Text("not running", "bold red")
    if not report.status:
        return Text(_plain(report.trouble), "bold red")
    if report.status.get("deaf"):
        return Text(f"DEAF ({_plain(report.status.get('why_deaf'))})", "bold red")
    return Text("hears") if report.status.get("healthy") else Text("impaired", "yellow")


def _plain(value: object, most_characters: int = 200) -> str:
    """Return text without control characters, which a terminal would obey."""
    from edge_asd.control.control_socket import plain_text

    return "" if value is None else plain_text(str(value), most_characters)


def _number(value: object, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else ""


def _percent(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, (int, float)) else ""


def _time(value: object) -> str:
    """Return a time of day to the minute: ``2026-11-23 06:00Z``."""
    text = _plain(value)
    return f"{text[:10]} {text[11:16]}Z" if len(text) > len("2026-11-23T06:00") else text


def _since(alarm_id: object) -> str:
    """Return when an alarm was raised, which is part of its identifier."""
    from edge_asd.clips.folder import STAMPED

    if (stamp := STAMPED.fullmatch(_plain(alarm_id))) is None:
        return ""
    text = stamp[1]
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[9:11]}:{text[11:13]}Z"
