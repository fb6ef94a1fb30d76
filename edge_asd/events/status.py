"""How the monitor is right now, and what may be said of its machine: what every output reads.

A :class:`Status` says how the monitor was when it was made. What it means depends on the time at
which it is read: a monitor that hangs leaves a status in which everything is well.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from edge_asd.events.event import FaultRaisedEvent, plain, utc_text
from edge_asd.events.fault import FAULTS

__all__ = ["MACHINE_STATES", "FaultStatus", "Status", "StatusBoard"]

# A monitor renews its status with every block of audio, and while none arrives several times
# a second; the slowest window takes seconds.
_STALE_AFTER_S = 30.0
# Scores come once per hop, and after a gap once a window is complete; scoring takes a while.
_LATE_HOPS = 3
_LATE_S = 10.0

# What an alarm says of sound; of a machine that is not heard nobody knows it.
_HEARD_STATES = ("normal", "warning", "cleared", "commissioning")
MACHINE_STATES = (*_HEARD_STATES, "alarm", "acknowledged", "shelved", "unknown")

_NO_CONDITION = {"hour": None, "day": None}


@dataclass(frozen=True, slots=True)
class FaultStatus:
    """A fault that is there now."""

    fault: str
    severity: str
    detail: str
    since: str  # UTC

    @property
    def meaning(self) -> str:
        """One line for people; the name of a fault that only another version knows."""
        known = FAULTS.get(self.fault.partition(":")[0])
        return known.meaning if known else self.fault


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
    alarm_state: str = "normal"  # whether or not anything is heard; see `state`
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
    unwanted_ends: int = 0  # of runs before this one, ever: errors, crashes, kills, power cuts
    audio_s: float = 0.0  # length of the stream, gaps included
    windows: int = 0
    skipped_windows: int = 0
    alarms: int = 0
    gaps: int = 0
    lost_s: float = 0.0
    reopened: int = 0  # how often the card was opened again
    drift_ppm: float | None = None  # of the card's clock
    backlog_s: float = 0.0
    window_s: float = 0.0
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

    def state(self, now_s: float) -> str:
        """What may be said of the machine, one of `MACHINE_STATES`, at a monotonic time.

        An alarm that is on stays on, and shelved is shelved. Everything else is ``unknown``
        while nothing is heard.
        """
        unknown = self.deaf(now_s) and self.alarm_state in _HEARD_STATES
        return "unknown" if unknown else self.alarm_state

    def deaf(self, now_s: float) -> bool:
        """Whether nothing is heard at a monotonic time, or nothing of it scored."""
        return self.why_deaf(now_s) is not None

    def why_deaf(self, now_s: float) -> str | None:
        """Why nothing is heard or scored at a monotonic time, in a few words; None: it is.

        So it is before the first window, and when sound, scores or the monitor's own signs of
        life stay away.
        """
        if self.stale(now_s):
            return "it hangs"
        if self.capture not in ("healthy", "degraded"):
            return self.capture
        for fault in self.faults:
            if fault.severity == "deaf":
                return fault.fault
        if self.score_at_s is None:
            return "no score yet"
        late_s = self.window_s + _LATE_HOPS * self.hop_s + _LATE_S
        return "no scores" if now_s - self.score_at_s > late_s else None

    def healthy(self, now_s: float) -> bool:
        """Whether its silence can be trusted: it hears, and nothing is impaired."""
        impaired = any(fault.severity != "minor" for fault in self.faults)
        return self.capture == "healthy" and not impaired and not self.deaf(now_s)

    def stale(self, now_s: float) -> bool:
        """Whether the monitor has not renewed it for so long that it must hang."""
        return now_s - self.updated_s > _STALE_AFTER_S

    def to_dict(self, now_s: float) -> dict[str, Any]:
        """Content as JSON knows it, judged at a monotonic time, the verdict first.

        Besides its fields it has

        - ``healthy``, ``deaf``, ``why_deaf``, ``stale`` and ``state``, as the methods say;
        - ``alarm``: whether an alarm is on, acknowledged or not; null while that is unknown;
        - ``status_age_s``, ``audio_age_s`` and ``score_age_s``: seconds since the monitor's last
          sign of life, since audio came and since a window was scored; null for never;
        - ``levels_dbfs`` with both channels, null where nothing was measured.
        """
        content = asdict(self)
        for name in ("alarm_state", "updated_s", "audio_at_s", "score_at_s", "max_score"):
            del content[name]
        if self.deaf(now_s):  # the last hour was not heard to its end
            content["condition"] = dict(_NO_CONDITION)
        content["levels_dbfs"] = {"near": None, "far": None} | self.levels_dbfs
        verdict = {
            "healthy": self.healthy(now_s),
            "deaf": self.deaf(now_s),
            "why_deaf": self.why_deaf(now_s),
            "state": self.state(now_s),
        }
        unknown = self.state(now_s) == "unknown"
        more = {
            "stale": self.stale(now_s),
            "alarm": None if unknown else self.alarm_state in ("alarm", "acknowledged"),
            "status_age_s": _age_s(self.updated_s, now_s),
            "audio_age_s": _age_s(self.audio_at_s, now_s),
            "score_age_s": _age_s(self.score_at_s, now_s),
        }
        known: dict[str, Any] = plain(verdict | content | more)  # silence is -inf dBFS
        return known


def _age_s(then_s: float | None, now_s: float) -> float | None:
    return None if then_s is None else round(max(0.0, now_s - then_s), 3)


class StatusBoard:
    """Holds the newest status of a monitor; it is replaced as a whole. Thread: any."""

    def __init__(self, status: Status) -> None:
        self.status = status
