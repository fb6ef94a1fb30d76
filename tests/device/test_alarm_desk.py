"""The desk of an alarm: what is told when parts around it fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_asd.alarm.desk import AlarmDesk, WindowFacts
from edge_asd.alarm.life_cycle import Alarm, AlarmPolicy
from edge_asd.event import AlarmRaisedEvent
from edge_asd.explanation import Explanation
from edge_asd.watcher import Moment

BEGIN = datetime(2026, 11, 22, 3, tzinfo=UTC)
FACTS = WindowFacts(
    window_start_s=0.0,
    score=2.0,
    threshold=1.0,
    clear_threshold=0.5,
    branches={},
    level_dbfs={"near": -40.0, "far": -40.0},
)


def test_an_alarm_that_cannot_be_explained_is_an_alarm_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explain() -> Explanation:
        raise ValueError("need at least one array to stack")

    desk = AlarmDesk(
        Alarm(AlarmPolicy(1.0, 0.5, 0.0, 0.0), lambda _: "pump-1"),
        None,
        utc=lambda stream_time_s: BEGIN + timedelta(seconds=stream_time_s),
        report=lambda _: None,
    )

    (raised,) = desk.window(Moment(BEGIN, 1.0, "pump"), FACTS, explain)

    assert isinstance(raised, AlarmRaisedEvent)
    assert (raised.alarm_id, raised.explanation) == ("pump-1", None)
    assert "could not be explained" in caplog.text
