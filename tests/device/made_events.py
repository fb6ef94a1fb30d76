"""One of each event, for tests of whatever hears them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge_asd.events.event import (
    AlarmAcknowledgedEvent,
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AlarmShelvedEvent,
    AlarmUnshelvedEvent,
    AlarmWarningEvent,
    AudioGapEvent,
    Event,
    FaultClearedEvent,
    FaultRaisedEvent,
    HopChangedEvent,
    NoticeEvent,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)

NOW = datetime(2026, 11, 22, 8, 30, 0, 123456, tzinfo=UTC)
BASE: dict[str, Any] = {"time": NOW, "stream_time_s": 10.0, "machine": "pump"}
WINDOW: dict[str, Any] = BASE | {
    "window_start_s": 0.0,
    "score": 1.5,
    "threshold": 2.0,
    "clear_threshold": 1.0,
    "branches": {"fkie@near": 1.0, "fkie@far": 2.0},
    "level_dbfs": {"near": -20.0, "far": -26.0},
}
STARTED = StartedEvent(
    **BASE,
    source="hw:1,0",
    source_rate_hz=48000,
    bundle="mini",
    learned=None,
    sample_rate_hz=16000,
    window_s=10.0,
    hop_s=5.0,
    threshold=2.0,
    clear_threshold=1.0,
    extreme_threshold=5.0,
    min_duration_s=5.0,
    confirm=[1, 1],
    holdoff_s=10.0,
    promise=None,
    state="normal",
)
SCORE = ScoreEvent(**WINDOW, alarm=False, state="normal", faults=[])
WARNING = AlarmWarningEvent(**WINDOW)
RAISED = AlarmRaisedEvent(
    **WINDOW, alarm_id="pump-1", rule="confirmed", above_since_s=5.0, explanation=None
)
CLEARED = AlarmClearedEvent(**WINDOW, alarm_id="pump-1", duration_s=4.0, max_score=3.0)
ACKNOWLEDGED = AlarmAcknowledgedEvent(**BASE, alarm_id="pump-1", note="bearing ordered")
SHELVED = AlarmShelvedEvent(**BASE, alarm_id=None, until=NOW, note="")
UNSHELVED = AlarmUnshelvedEvent(**BASE, reason="expired")
FAULT = FaultRaisedEvent(
    **BASE,
    fault="capture_lost",
    severity="deaf",
    meaning="the sound card stopped or was unplugged",
    detail="plug it in",
    figures={"age_s": 3.0},
)
FAULT_OVER = FaultClearedEvent(
    **BASE, fault="capture_lost", detail="it is back", duration_s=12.0, figures={}
)
GAP = AudioGapEvent(**BASE, reason="too slow", lost_s=0.5)
HOP = HopChangedEvent(**BASE, hop_s=10.0, reason="scoring takes 4 s per window")
NOTICE = NoticeEvent(**BASE, notice="drift", text="normal has moved", figures={"median": 1.5})
STOPPED = StoppedEvent(
    **BASE,
    reason="interrupted",
    seconds=10.0,
    windows=1,
    skipped_windows=0,
    alarms=0,
    alarm=False,
    max_score=None,
    gaps=0,
    dropped_frames=0,
    undelivered=0,
)
EVENTS: list[Event] = [
    *(STARTED, SCORE, WARNING, RAISED, CLEARED, ACKNOWLEDGED, SHELVED, UNSHELVED),
    *(FAULT, FAULT_OVER, GAP, HOP, NOTICE, STOPPED),
]
