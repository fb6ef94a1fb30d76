"""The faults of one monitor, as events and in its status; they outlive a restart.

While a sound card is missing the service manager starts the monitor again and again.
What was told before the restart is not told again, and what is over is told once.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from edge_asd.errors import StateError
from edge_asd.event import Event, FaultClearedEvent, FaultRaisedEvent, utc_text
from edge_asd.fault import FaultBoard, FaultChange
from edge_asd.state_folder import read_json, write_atomically
from edge_asd.status import FaultStatus
from edge_asd.watcher import Moment

__all__ = ["FaultDesk"]

_SETTLED_S = 60.0  # of sound, after which a fault from before the restart would be back

_log = logging.getLogger(__name__)


class FaultDesk:
    """Says once that a fault began, and once that it is over.

    Parameters
    ----------
    file : where faults are remembered; None: nowhere
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._board = FaultBoard()
        self._told: dict[str, FaultStatus] = {}
        self._carried = _load(file)  # from before a restart, not seen again yet

    @property
    def names(self) -> list[str]:
        """What is wrong now."""
        return [status.fault for status in self.status]

    @property
    def status(self) -> tuple[FaultStatus, ...]:
        """What is wrong now, the oldest first."""
        return (*self._carried.values(), *self._told.values())

    def take(self, change: FaultChange, at: Moment, now_s: float) -> list[Event]:
        """Take a change; return what to say about it.

        Parameters
        ----------
        now_s : seconds that never run backwards
        """
        lasted_s = self._board.update(change, now_s)
        if lasted_s is None:
            return []
        return self._began(change, at) if change.active else self._ended(change, at)

    def settle(self, at: Moment) -> list[Event]:
        """Say what is over since the restart, once enough was heard to know.

        Parameters
        ----------
        at : position in the stream; without sound it stays at its start
        """
        if not self._carried or at.stream_time_s < _SETTLED_S:
            return []
        over, self._carried = self._carried, {}
        self._save()
        return [
            _cleared(status, at, "it did not come back after the restart", {})
            for status in over.values()
        ]

    def _began(self, change: FaultChange, at: Moment) -> list[Event]:
        _log.warning("%s: %s", change.fault.meaning, change.detail)
        carried = self._carried.pop(change.key, None)
        since = carried.since if carried else utc_text(at.time)
        self._told[change.key] = FaultStatus(
            change.key, change.fault.severity, change.detail, since
        )
        self._save()
        if carried:
            return []
        return [
            FaultRaisedEvent(
                **at.facts(),
                fault=change.key,
                severity=change.fault.severity,
                meaning=change.fault.meaning,
                detail=change.detail,
                figures=dict(change.figures),
            )
        ]

    def _ended(self, change: FaultChange, at: Moment) -> list[Event]:
        status = self._told.pop(change.key)
        self._save()
        cleared = _cleared(status, at, change.detail, dict(change.figures))
        _log.info("%s is over after %.1f s: %s", change.key, cleared.duration_s, change.detail)
        return [cleared]

    def _save(self) -> None:
        if self._file is None:
            return
        content = {"version": 1, "faults": [asdict(status) for status in self.status]}
        try:
            write_atomically(self._file, json.dumps(content) + "\n")
        except OSError as error:
            _log.debug("cannot remember faults in %s: %s", self._file, error.strerror)


def _cleared(
    status: FaultStatus, at: Moment, detail: str, figures: dict[str, float | int | str]
) -> FaultClearedEvent:
    lasted = at.time - datetime.fromisoformat(status.since)
    return FaultClearedEvent(
        **at.facts(),
        fault=status.fault,
        detail=detail,
        duration_s=max(lasted.total_seconds(), 0.0),
        figures=figures,
    )


def _load(file: Path | None) -> dict[str, FaultStatus]:
    if file is None:
        return {}
    try:
        content = read_json(file) or {}
        known = [FaultStatus(**fault) for fault in content.get("faults", [])]
        for status in known:
            datetime.fromisoformat(status.since)
    except (StateError, TypeError, ValueError) as error:
        _log.warning("%s is forgotten: %s", file, error)
        return {}
    return {status.fault: status for status in known}
