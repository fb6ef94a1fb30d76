"""Positions in the stream, and where it is between two blocks."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from edge_asd.audio.block import Block, Gap
from edge_asd.monitor.stream_clock import FixedClock
from edge_asd.monitor.timeline import Timeline

RATE_HZ = 100
START = datetime(2026, 11, 22, 8, tzinfo=UTC)


class Seconds:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def second(start_s: int) -> Block:
    return Block(start_s * RATE_HZ, np.zeros((2, RATE_HZ), np.float32))


def test_the_stream_goes_on_while_a_sound_card_is_silent() -> None:
    clock = Seconds()
    timeline = Timeline(FixedClock(START), "pump", RATE_HZ, live=True, now_s=clock)
    clock.now_s += 2

    assert timeline.now().stream_time_s == pytest.approx(2)

    timeline.advance(second(0), 0.0)
    clock.now_s += 3

    assert timeline.now().stream_time_s == pytest.approx(4)


def test_an_outage_counts_once_after_its_gap() -> None:
    clock = Seconds()
    timeline = Timeline(FixedClock(START), "pump", RATE_HZ, live=True, now_s=clock)
    timeline.advance(second(0), 0.0)
    clock.now_s += 60
    timeline.advance(Gap(60 * RATE_HZ, 59 * RATE_HZ, "unplugged"), 0.0)

    assert timeline.now().stream_time_s == pytest.approx(60)
    assert timeline.heard_at_s == 50, "a gap is no sound"


def test_a_recording_stays_where_it_was_read_to() -> None:
    clock = Seconds()
    timeline = Timeline(FixedClock(START), "pump", RATE_HZ, live=False, now_s=clock)
    timeline.advance(second(0), 0.0)
    clock.now_s += 60

    assert timeline.now().stream_time_s == 1
    assert timeline.now().time == timeline.at(RATE_HZ).time
