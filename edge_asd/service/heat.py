"""Heat and power of small boards: a hot or starved processor is a slow one.

Thermometers and their limits come from ``/sys/class/thermal``. A Raspberry Pi's firmware
says in a word of bits whether it slows the processor down, and why.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event, Notice, NoticeEvent
from edge_asd.events.latch import Latch
from edge_asd.monitor.watcher import Moment, Watcher
from edge_asd.system_files import first_line

__all__ = ["HOT_C", "HeatWatcher", "Zone", "firmware_bits", "hottest", "throttling", "zones"]

HOT_C = 80.0  # where a zone names no limit; a Raspberry Pi slows down there

_EVERY_S = 60.0
_COOLER_C = 5.0  # below the limit, before a zone counts as cool again
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
# Bits of `vcgencmd get_throttled`; the same, 16 higher: since it was switched on.
_BITS = {0: "under-voltage", 1: "capped frequency", 2: "throttling", 3: "soft heat limit"}
_SINCE_BOOT = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with a thermometer."""

    name: str
    temperature_c: float
    limit_c: float = HOT_C  # from here on the system slows down


class HeatWatcher(Watcher):
    """Says when the board slows down because of heat or a weak supply, and when no more.

    Parameters
    ----------
    root : of the file system, for tests
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._looked_at_s = -_EVERY_S
        self._hot = Latch()
        self._causes: tuple[str, ...] = ()

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Look once a minute."""
        if at.stream_time_s - self._looked_at_s < _EVERY_S:
            return
        self._looked_at_s = at.stream_time_s
        zone = hottest(zones(self._root))
        if zone is not None and self._hot.update(_is_hot(zone)):
            text = _heat_text(zone, hot=self._hot.active)
            yield self._notice(at, "heat", text, {"temperature_c": round(zone.temperature_c, 1)})
        causes, _ = throttling(firmware_bits(self._root)) or ((), ())
        if causes != self._causes:
            self._causes = causes
            text = f"the board says: {', '.join(causes)}; use another supply, or cool it"
            text = text if causes else "the board runs at full speed again"
            yield self._notice(at, "power", text, {})

    def _notice(
        self, at: Moment, notice: Notice, text: str, figures: dict[str, float | int | str]
    ) -> NoticeEvent:
        _log.warning("%s", text)
        return NoticeEvent(**at.facts(), notice=notice, text=text, figures=figures)


def zones(root: Path = Path("/")) -> list[Zone]:
    """Return every thermometer of the system."""
    found = []
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        temperature_c = _celsius(folder / "temp")
        if temperature_c is None:
            continue
        limits = [
            limit_c
            for kind in folder.glob("trip_point_*_type")
            if first_line(kind) in {"passive", "hot"}
            and (limit_c := _celsius(kind.with_name(kind.name.replace("_type", "_temp"))))
        ]
        name = first_line(folder / "type") or folder.name
        found.append(Zone(name, temperature_c, min(limits, default=HOT_C)))
    return found


def hottest(found: Iterable[Zone]) -> Zone | None:
    """Return the zone that is nearest to its limit."""
    return max(found, key=lambda zone: zone.temperature_c - zone.limit_c, default=None)


def firmware_bits(root: Path = Path("/")) -> str:
    """Return what a Raspberry Pi's firmware says; "" on other boards."""
    return first_line(root / _FIRMWARE)


def throttling(bits: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Read ``throttled=0x50005`` or ``50005``: what slows it down now, and since it is on.

    None: it is not such a number.
    """
    try:
        value = int(bits.rpartition("=")[2], 16)
    except ValueError:
        return None
    now = tuple(name for bit, name in _BITS.items() if value >> bit & 1)
    since = tuple(name for bit, name in _BITS.items() if value >> bit + _SINCE_BOOT & 1)
    return now, since


def _is_hot(zone: Zone) -> bool | None:
    """Whether a zone is at its limit; None: it is cooler, but not by enough to say so."""
    if zone.temperature_c >= zone.limit_c:
        return True
    return None if zone.temperature_c >= zone.limit_c - _COOLER_C else False


def _heat_text(zone: Zone, *, hot: bool) -> str:
    found = f"{zone.name} has {zone.temperature_c:.0f} °C"
    if hot:
        return f"{found} and slows down from {zone.limit_c:.0f} °C on; cool it"
    return f"{found} and runs at full speed again"


def _celsius(path: Path) -> float | None:
    try:
        return int(first_line(path)) / 1e3
    except ValueError:
        return None
