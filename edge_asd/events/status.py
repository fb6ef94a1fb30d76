"""How the monitor is right now: what health, metrics, ``alarms`` and the watchdog read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from edge_asd.events.event import FaultRaisedEvent, utc_text

__all__ = ["FaultStatus", "Status", "StatusBoard"]


_NO_CONDITION = {"hour": None, "day": None}


@dataclass(frozen=True, slots=True)
class FaultStatus:
    """A fault that is there now."""

    fault: str
    severity: str
    detail: str
    since: str  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One moment of one monitor; replaced as a whole, so that any thread may read it."""

    machine: str
    started: datetime
    bundle: str = ""
    source: str = ""
    updated_s: float = 0.0  # monotonic clock when this was made
    audio_at_s: float | None = None  # monotonic clock when audio came last
    score_at_s: float | None = None  # and when a window was scored last
    state: str = "normal"  # of the alarm
    alarm_id: str | None = None
    shelved_until: datetime | None = None
    capture: str = "starting"
    score: float | None = None  # the last
    max_score: float | None = None
    threshold: float = 0.0
    promise: str | None = None  # false alarms and delay, in words
    commissioning_left_s: float | None = None  # of sound still to be heard; None: it judges
    levels_dbfs: dict[str, float] = field(default_factory=dict)  # near, far
    # 0 to 100 over the last hour and day; None: too little was heard
    condition: dict[str, float | None] = field(default_factory=lambda: dict(_NO_CONDITION))
    # what came, and what was promised; empty where no state is kept
    since_enrolment: dict[str, Any] = field(default_factory=dict)
    faults: tuple[FaultStatus, ...] = ()
    audio_s: float = 0.0  # length of the stream, gaps included
    windows: int = 0
    skipped_windows: int = 0
    alarms: int = 0
    gaps: int = 0
    lost_s: float = 0.0
    reopened: int = 0  # how often the card was opened again
    drift_ppm: float | None = None  # of the card's clock
    backlog_s: float = 0.0
    hop_s: float = 0.0
    score_busy_s: float = 0.0  # seconds of computing since the start
    outputs: dict[str, dict[str, int]] = field(default_factory=dict)  # sent, dropped, waiting

    @classmethod
    def of_failed_start(cls, fault: FaultRaisedEvent) -> Self:
        """Return the status of a monitor that could not start."""
        told = FaultStatus(fault.fault, fault.severity, fault.detail, utc_text(fault.time))
        return cls(
            machine=fault.machine,
            started=fault.time,
            capture="lost",
            faults=(told,),
        )

    @property
    def healthy(self) -> bool:
        """Whether its silence can be trusted: it hears, and nothing is impaired."""
        impaired = any(fault.severity != "minor" for fault in self.faults)
        return self.capture == "healthy" and not impaired

    @property
    def deaf(self) -> bool:
        """Whether nothing can be heard."""
        hears = self.capture in ("healthy", "degraded")
        return not hears or any(fault.severity == "deaf" for fault in self.faults)

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON knows it, the verdict first; no clock values of this process."""
        content = asdict(self)
        for name in ("started", "shelved_until"):
            content[name] = utc_text(content[name]) if content[name] else None
        for name in ("updated_s", "audio_at_s", "score_at_s", "max_score"):
            del content[name]
        if self.deaf:  # the last hour was not heard to its end
            content["condition"] = dict(_NO_CONDITION)
        return {"healthy": self.healthy, "deaf": self.deaf} | content


class StatusBoard:
    """Holds the newest status of a monitor; it is replaced as a whole. Thread: any."""

    def __init__(self, status: Status) -> None:
        self.status = status
