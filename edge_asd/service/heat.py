"""Heat and power of small boards: a hot or starved processor is a slow one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.events.event import Event, Notice, NoticeEvent
from edge_asd.events.latch import Latch
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.system_files import Zone, firmware_bits, hottest, throttling, zones

__all__ = ["HeatWatcher"]

_EVERY_S = 60.0
_COOLER_C = 5.0  # below the limit, before a zone counts as cool again

_log = logging.getLogger(__name__)


class HeatWatcher(Watcher):
    """Notices of a board that slows down because of heat or a weak supply, and of its end.

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
