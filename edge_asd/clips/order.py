"""In which order alarms came, whatever the clock of the device said when they did.

A board without a battery boots in 1970, and a clock may be set back: names of alarms hold times,
so they do not tell which is the newest. A file in the folder of all events does, with one name on
each line. Alarms that it does not name are older, and in the order of their times.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_asd.clips.folder import STAMPED
from edge_asd.errors import StateError
from edge_asd.state.atomic import write_atomically
from edge_asd.state.trust import read_regular

__all__ = ["by_age", "note_arrival"]

_ORDER_FILE = "order.txt"
_MOST_BYTES = 50_000_000


def by_age(events: Path, names: Iterable[str]) -> list[str]:
    """Return the names of folders of alarms, the oldest first; what is none is left out."""
    position = {name: i for i, name in enumerate(_noted(events))}
    stamps = {name: stamp[1] for name in names if (stamp := STAMPED.fullmatch(name))}
    return sorted(stamps, key=lambda name: (position.get(name, -1), stamps[name], name))


def note_arrival(events: Path, name: str) -> None:
    """Note that an alarm is the newest.

    Raises
    ------
    OSError
        As the system does.
    """
    noted = [one for one in _noted(events) if one != name and (events / one).is_dir()]
    write_atomically(events / _ORDER_FILE, "".join(f"{one}\n" for one in (*noted, name)))


def _noted(events: Path) -> list[str]:
    try:
        return read_regular(events / _ORDER_FILE, _MOST_BYTES).decode(errors="replace").splitlines()
    except (OSError, StateError):
        return []
