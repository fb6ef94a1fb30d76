"""The live view, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import numpy as np
import pytest
from device.stream import cut
from rich.console import Console

from edge_asd.event import AlarmClearedEvent, AlarmRaisedEvent, AudioGapEvent, Event, ScoreEvent
from edge_asd.meter import Meter, sparkline

BASE: dict[str, Any] = {
    "time": datetime(2026, 11, 22, tzinfo=UTC),
    "stream_time_s": 1.0,
    "machine": "pump",
}
WINDOW: dict[str, Any] = BASE | {
    "window_start_s": 0.0,
    "score": 1.5,
    "threshold": 2.0,
    "clear_threshold": 1.0,
    "branches": {},
    "level_dbfs": {},
}


def last_frame(events: Iterable[Event], audio: np.ndarray | None = None) -> str:
    """All text after these events and this audio; the last frame ends it."""
    console = Console(file=StringIO(), force_terminal=True, width=120, color_system=None)
    with Meter(console, backlog_s=lambda: 1.25) as meter:
        if audio is not None:
            for _ in meter.watch(cut(audio, [1600]), 16000):
                continue
        for event in events:
            meter.emit(event)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_levels_and_peaks_of_both_channels_are_shown() -> None:
    audio = np.stack([np.full(1600, 0.1), np.full(1600, 0.01)]).astype(np.float32)

    text = last_frame([], audio)

    assert "-20.0 dBFS  peak  -20.0" in text
    assert "-40.0 dBFS  peak  -40.0" in text
    assert "lag 1.2 s" in text


def test_the_score_is_shown_against_its_threshold() -> None:
    text = last_frame([ScoreEvent(**WINDOW, alarm=False)])

    assert "1.500  threshold 2.000" in text
    assert "normal" in text


def test_alarms_and_gaps_are_lines_above_the_view() -> None:
    text = last_frame(
        [
            AlarmRaisedEvent(**WINDOW, above_since_s=0.5),
            AlarmClearedEvent(**WINDOW, duration_s=4.0, max_score=9.0),
            AudioGapEvent(**BASE, reason="too slow", lost_s=0.5),
        ]
    )

    assert "pump  ALARM  score 1.500 > 2.000" in text
    assert "pump  cleared after 4.0 s" in text
    assert "pump  gap: too slow, 0.5 s lost" in text


def test_an_alarm_stays_in_view_until_it_is_cleared() -> None:
    raised = AlarmRaisedEvent(**WINDOW, above_since_s=0.5)
    cleared = AlarmClearedEvent(**WINDOW, duration_s=4.0, max_score=9.0)

    assert "ALARM since" in last_frame([raised])
    assert "ALARM since" not in last_frame([raised, cleared]).rpartition("cleared after")[2]


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0, 1, 2, 9], 1.0, "▁▅██"),
        ([-1, 0.5, 1], 1.0, "▁▄▅"),
        ([-4, -2, 0], -2.0, "▁▅█"),
        ([0, 3], 0.0, "▁█"),
        ([], 1.0, ""),
    ],
)
def test_the_sparkline_has_the_threshold_in_its_middle(
    scores: list[float], threshold: float, expected: str
) -> None:
    assert sparkline(scores, threshold) == expected
