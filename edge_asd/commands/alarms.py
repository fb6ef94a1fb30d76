"""``edge-asd alarms``: how are the machines, and their monitors?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
}
_NEEDS_EARS = ("normal", "warning", "cleared")
_PIPE_WIDTH = 160


def alarms(
    machine: Annotated[
        str | None, typer.Option(help="One machine; all of this device if left out.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the monitors' state; the usual one if left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per monitor on stdout.")
    ] = False,
) -> None:
    """Show the state of every machine, what is wrong with its monitor, and the last alarms.

    Asks the monitors that run on this device. A monitor that does not run, or cannot hear,
    is said to be so: its silence means nothing. `ack` and `shelve` answer an alarm.

    Examples

        edge-asd alarms

        edge-asd alarms --machine pump-3 --json
    """
    import json
    import os
    from dataclasses import asdict

    from edge_asd.control.monitors import find_monitors, report_on
    from edge_asd.state.folder import folder_name

    found = find_monitors(state, os.environ)
    if machine is not None:
        found = [folder for folder in found if folder.path.name == folder_name(machine)]
    if not found:
        raise ControlError(
            f"no monitor{f' of {machine!r}' if machine else ''} has run yet; start one with "
            "'edge-asd listen', or name the folder of its state with --state"
        )
    reports = [report_on(folder) for folder in found]
    if as_json:
        for report in reports:
            typer.echo(json.dumps(asdict(report), ensure_ascii=False))
    else:
        _print_tables(reports)


def _print_tables(reports: list[MonitorReport]) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_states(reports))
    faults = [(report, fault) for report in reports for fault in report.status.get("faults", ())]
    if faults:
        console.print(_faults(faults))
    for report in reports:
        if report.alarms:
            folder = Path(report.folder) / "events"
            console.print(f"last alarms of {_plain(report.machine)}, in {folder}:", soft_wrap=True)
            console.print(_last_alarms(report.alarms))


def _states(reports: Iterable[MonitorReport]) -> Table:
    table = _table("machine", "state", "since", "score", "threshold", "shelved until", "monitor")
    for report in reports:
        status = report.status
        table.add_row(
            _plain(report.machine),
            _state(report),
            _since(status.get("alarm_id")),
            _number(status.get("score")),
            _number(status.get("threshold")),
            _time(status.get("shelved_until")),
            _monitor(report),
        )
    return table


def _state(report: MonitorReport) -> Text:
    """Return what is known of the machine: what a deaf monitor calls normal is not."""
    from rich.text import Text

    state = _plain(report.status.get("state"))
    if not state or (report.status.get("deaf") and state in _NEEDS_EARS):
        return Text("unknown", "bold red")
    return Text(state, _STATE_STYLES.get(state, ""))


def _monitor(report: MonitorReport) -> Text:
    from rich.text import Text

    if not report.running:
        return Text("not running", "bold red")
    if not report.status:
        return Text(_plain(report.trouble), "bold red")
    capture = _plain(report.status.get("capture"))
    if report.status.get("deaf"):
        return Text(f"DEAF ({capture})", "bold red")
    return Text("hears") if report.status.get("healthy") else Text("impaired", "yellow")


def _faults(faults: Iterable[tuple[MonitorReport, dict[str, Any]]]) -> Table:
    table = _table("machine", "fault of the monitor", "since", "detail")
    for report, fault in faults:
        table.add_row(
            _plain(report.machine),
            _plain(fault.get("fault")),
            _time(fault.get("since")),
            _plain(fault.get("detail")),
        )
    return table


def _last_alarms(records: Iterable[dict[str, Any]]) -> Table:
    table = _table("alarm", "raised", "ended", "score", "threshold", "what")
    for record in records:
        raised, cleared = _part(record, "alarm"), _part(record, "cleared")
        table.add_row(
            _plain(Path(record["folder"]).name),
            _time(raised.get("time")),
            _ended(record),
            _number(cleared.get("max_score", raised.get("score"))),
            _number(raised.get("threshold")),
            _plain(_part(raised, "explanation").get("text")),
        )
    return table


def _ended(record: dict[str, Any]) -> str:
    """Return when an alarm was cleared or closed by shelving, else whether it was seen."""
    if cleared := _part(record, "cleared"):
        return _time(cleared.get("time"))
    notes = record.get("notes")
    known = {note.get("event"): note for note in notes or () if isinstance(note, dict)}
    if shelved := known.get("alarm_shelved"):
        return f"{_time(shelved.get('time'))}, shelved"
    return "no, acknowledged" if "alarm_acknowledged" in known else "no"


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _plain(value: object) -> str:
    """Return text that cannot play tricks with a terminal."""
    from edge_asd.control.control_socket import plain_text

    return "" if value is None else plain_text(str(value))


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else ""


def _time(value: object) -> str:
    """Return a time of day without its fractions: ``2026-11-23 06:00:00Z``."""
    text = _plain(value)
    return f"{text[:10]} {text[11:19]}Z" if len(text) > len("2026-11-23T06:00:00") else text


def _since(alarm_id: object) -> str:
    """Return when an alarm was raised, which its identifier tells."""
    from edge_asd.clips.folder import STAMPED

    if (stamp := STAMPED.fullmatch(_plain(alarm_id))) is None:
        return ""
    text = stamp[1]
    day, time = f"{text[:4]}-{text[4:6]}-{text[6:8]}", f"{text[9:11]}:{text[11:13]}:{text[13:15]}"
    return f"{day} {time}Z"
