"""Every event is one line of strict JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from edge_asd.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AudioGapEvent,
    Event,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
    utc_text,
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
EVENTS: list[Event] = [
    StartedEvent(
        **BASE,
        source="hw:1,0",
        source_rate_hz=48000,
        bundle="mini",
        sample_rate_hz=16000,
        window_s=10.0,
        hop_s=5.0,
        threshold=2.0,
        clear_threshold=1.0,
        min_duration_s=5.0,
        holdoff_s=10.0,
    ),
    ScoreEvent(**WINDOW, alarm=False),
    AlarmRaisedEvent(**WINDOW, above_since_s=5.0),
    AlarmClearedEvent(**WINDOW, duration_s=5.0, max_score=3.0),
    AudioGapEvent(**BASE, reason="too slow", lost_s=None),
    StoppedEvent(
        **BASE,
        reason="interrupted",
        seconds=10.0,
        windows=1,
        alarms=0,
        alarm=False,
        max_score=None,
        gaps=0,
        dropped_frames=0,
    ),
]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_an_event_is_one_line_with_kind_time_and_machine(event: Event) -> None:
    text = event.to_json()

    assert "\n" not in text
    content = json.loads(text, parse_constant=refuse)
    assert content["event"] == event.event
    assert content["time"] == "2026-11-22T08:30:00.123Z"
    assert content["stream_time_s"] == 10.0
    assert content["machine"] == "pump"


def test_the_kinds_of_events_are_these() -> None:
    assert [event.event for event in EVENTS] == [
        "started",
        "score",
        "alarm_raised",
        "alarm_cleared",
        "audio_gap",
        "stopped",
    ]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_become_null(number: float) -> None:
    event = ScoreEvent(**(WINDOW | {"score": number, "branches": {"b": number}}), alarm=False)

    content = json.loads(event.to_json(), parse_constant=refuse)

    assert content["score"] is None
    assert content["branches"] == {"b": None}


def test_times_of_other_zones_are_written_in_utc() -> None:
    zone = timezone(timedelta(hours=9))

    assert utc_text(datetime(2026, 1, 1, 9, tzinfo=zone)) == "2026-01-01T00:00:00.000Z"
