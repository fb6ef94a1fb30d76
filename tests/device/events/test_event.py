"""Every event is one line of strict JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from device.made_events import EVENTS, SCORE

from edge_asd.events.event import Event, FaultRaisedEvent, utc_text


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
        *("started", "score", "alarm_warning", "alarm_raised", "alarm_cleared"),
        *("alarm_acknowledged", "alarm_shelved", "alarm_unshelved", "fault_raised"),
        *("fault_cleared", "audio_gap", "hop_changed", "notice", "stopped"),
    ]


def test_alarms_faults_and_notices_must_reach_every_output_and_scores_need_not() -> None:
    assert {event.event for event in EVENTS if not event.durable} == {
        *("started", "score", "alarm_warning", "audio_gap", "hop_changed", "stopped")
    }


def test_events_of_one_moment_have_different_ids() -> None:
    other_fault = replace(next(e for e in EVENTS if isinstance(e, FaultRaisedEvent)), fault="disk")

    ids = [event.id for event in [*EVENTS, other_fault]]

    assert len(set(ids)) == len(ids)
    assert json.loads(SCORE.to_json())["id"] == "pump-20261122T083000123Z-score"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_become_null(number: float) -> None:
    event = replace(SCORE, score=number, branches={"b": number})

    content = json.loads(event.to_json(), parse_constant=refuse)

    assert content["score"] is None
    assert content["branches"] == {"b": None}


def test_times_of_other_zones_are_written_in_utc() -> None:
    zone = timezone(timedelta(hours=9))

    assert utc_text(datetime(2026, 1, 1, 9, tzinfo=zone)) == "2026-01-01T00:00:00.000Z"
