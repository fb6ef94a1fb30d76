"""A monitor that answers commands, without sound."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.alarm.store import AlarmStore
from edge_asd.control.control_socket import ControlServer
from edge_asd.control.requests import serve
from edge_asd.events.event import Event, compact_utc
from edge_asd.events.moment import Moment
from edge_asd.events.status import Status
from edge_asd.outputs.outbox import Outbox
from edge_asd.state.folder import StateFolder

__all__ = ["LiveMonitor"]

POLICY = AlarmPolicy(2.0, 1.0, min_duration_s=0.0, holdoff_s=0.0)


class LiveMonitor:
    """What a running monitor has of an alarm; answers requests until it is closed."""

    def __init__(self, root: Path, machine: str) -> None:
        self.start = datetime.now(UTC)
        self.events: list[Event] = []
        self.status: dict[str, Any] = {
            "capture": "healthy",
            "score_at_s": 0.0,
            "score": 0.5,
            "threshold": 2.0,
        }
        self._machine = machine
        self.folder = StateFolder(root, machine)
        self._lock = self.folder.lock()
        self._server = ControlServer(self.folder.control_socket)
        self.alarm = Alarm(POLICY, lambda s: f"{machine}-{compact_utc(self._utc(s))}")
        self._outbox = Outbox(self.folder.journal, lambda change: None)
        self._reporter = AlarmReporter(
            self.alarm,
            AlarmStore(self._outbox, self._utc),
            utc=self._utc,
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._server.close()
        self._outbox.close()
        self._lock.close()

    def _run(self) -> None:
        while not self._done.wait(0.005):
            while (request := self._server.poll()) is not None:
                serve(
                    *(request, self._reporter, self._now(), self._known, self._now),
                    emit=self.events.extend,
                )

    def _now(self) -> Any:
        time_s = (datetime.now(UTC) - self.start).total_seconds()
        return Moment(self._utc(time_s), time_s, self._machine)

    def _utc(self, time_s: float) -> datetime:
        return self.start + timedelta(seconds=time_s)

    def _known(self) -> dict[str, Any]:
        return Status(
            machine=self._machine,
            bundle="bundle",
            source="hw:1,0",
            started=self.start,
            updated_s=0.0,
            alarm_state=self.alarm.state,
            alarm_id=self.alarm.alarm_id,
            shelved_until=self._reporter.shelved_until,
            **self.status,
        ).to_dict(0.0)
