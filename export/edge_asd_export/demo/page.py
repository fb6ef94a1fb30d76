"""The page of a demo: one HTML file with its picture, its alarms, and what to do next."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from edge_asd import __version__
from edge_asd.clips.folder import AUDIO_FILE, PICTURE_FILE, event_path
from edge_asd.state.folder import StateFolder
from edge_asd_export.demo.outcome import HeardAlarm, Outcome

__all__ = ["NEXT_COMMANDS", "KeptAlarm", "kept_alarms", "write_page"]

NEXT_COMMANDS = (
    (
        "on the device, while the machine runs as usual",
        "edge-asd record --device hw:1 --machine pump-3 --minutes 60 --out recordings",
    ),
    ("copied to the workstation", "edge-asd train recordings --out runs/pump-3"),
    ("there, too", "edge-asd export --run runs/pump-3 --out bundles/pump-3"),
    (
        "copied back to the device",
        "edge-asd listen --bundle bundles/pump-3 --machine pump-3 --device hw:1",
    ),
)


@dataclass(frozen=True, slots=True)
class KeptAlarm:
    """An alarm and the files that the monitor kept of it."""

    heard: HeardAlarm
    picture: Path | None
    clip: Path | None


def kept_alarms(outcome: Outcome, state: Path) -> tuple[KeptAlarm, ...]:
    """The alarms of an outcome with their files below a state folder."""
    events = StateFolder(state, outcome.planted.recorded_as).events

    def kept(alarm: HeardAlarm, name: str) -> Path | None:
        path = event_path(events, alarm.alarm_id) / name
        return path if path.is_file() else None

    return tuple(
        KeptAlarm(alarm, kept(alarm, PICTURE_FILE), kept(alarm, AUDIO_FILE))
        for alarm in outcome.alarms
    )


def write_page(
    path: Path, outcome: Outcome, alarms: tuple[KeptAlarm, ...], stream_picture: Path
) -> None:
    """Write the page; pictures are inside it, clips are links to files beside it."""
    environment = Environment(
        loader=PackageLoader("edge_asd_export", "."),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["picture"] = _data_address
    text = environment.get_template("demo/page.html.j2").render(
        outcome=outcome,
        alarms=alarms,
        stream=stream_picture,
        folder=path.parent,
        version=__version__,
        next_commands=NEXT_COMMANDS,
    )
    path.write_text(text, encoding="utf-8")


def _data_address(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"
