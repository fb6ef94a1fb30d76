"""A monitor's status, and events that must arrive, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from edge_asd.bundle.manifest import PromiseSpec, ThresholdSpec
from edge_asd.events.event import NoticeEvent
from edge_asd.events.status import FaultStatus, Status

START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
SILENT = FaultStatus(
    "signal_silent", "deaf", "both channels are digital silence", "2026-11-22T08:30:00.000Z"
)
UNREACHABLE = FaultStatus(
    "output:mqtt", "impaired", "connection refused", "2026-11-22T08:30:00.000Z"
)

THRESHOLD = ThresholdSpec(
    threshold=1.0, clear_threshold=0.5, false_alarm_rate=0.01, method="quantile", n_scores=1000
)
PROMISE = PromiseSpec(
    false_alarms_per_month=1.0,
    wanted_per_month=1.0,
    confirm_n=8,
    confirm_m=12,
    hop_s=2.5,
    delay_s=30.0,
    trust="estimated",
    lasting_share=0.5,
    lasting_s=600.0,
)


def a_status(**changes: Any) -> Status:
    """A healthy monitor, but for the changes."""
    facts: dict[str, Any] = {
        "machine": "pump",
        "bundle": "mini",
        "source": "hw:1,0",
        "started": START,
        "updated_s": 100.0,
        "audio_at_s": 99.9,
        "score_at_s": 99.0,
        "capture": "healthy",
        "score": 0.25,
        "threshold": 1.5,
        "levels_dbfs": {"near": -31.5, "far": -40.25},
    }
    return Status(**facts | changes)


def a_notice(number: int) -> NoticeEvent:
    """An event that must arrive; each number has an id of its own."""
    return NoticeEvent(
        time=START + timedelta(seconds=number),
        stream_time_s=float(number),
        machine="pump",
        notice="drift",
        text=f"notice {number}",
        figures={},
    )
