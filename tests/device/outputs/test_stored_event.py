"""What was written is read back."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from device.made_events import EVENTS, NOW, RAISED

from edge_asd.events.event import Event
from edge_asd.explain.explanation import Explanation
from edge_asd.outputs.stored_event import event_names, read_event

EXPLANATION = Explanation(
    text="a tone at 3 kHz",
    branch="fkie@near",
    channel="near",
    times_threshold=1.4,
    branch_excess={"fkie@near": 5.0, "fkie@far": float("nan")},
    onset_s=1.0,
    end_s=2.0,
    low_hz=2900.0,
    high_hz=3100.0,
    departure_db=12.0,
    n_neighbours=5,
)


@pytest.mark.parametrize(
    "event", [*EVENTS, replace(RAISED, explanation=EXPLANATION)], ids=lambda event: event.event
)
def test_every_event_is_the_same_after_it_was_written_and_read(event: Event) -> None:
    again = read_event(event.to_json())

    assert type(again) is type(event)
    assert again.id == event.id
    assert again.to_json() == event.to_json()


def test_the_names_are_those_of_all_events() -> None:
    assert event_names() == sorted(event.event for event in EVENTS)


def test_what_another_version_wrote_is_read_as_far_as_it_is_known() -> None:
    content = RAISED.to_dict() | {"invented_later": 1}
    del content["rule"]

    event = read_event(json.dumps(content))

    assert event.to_dict() == RAISED.to_dict() | {"rule": None}
    assert event.time == NOW.replace(microsecond=123_000)
    assert "invented_later" not in {field.name for field in fields(event)}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", '{"event": "party"}', '{"event": ["score"]}', '{"event": "notice"}'],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_event(text)
