"""The live view, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from device.made_events import (
    ACKNOWLEDGED,
    CLEARED,
    FAULT,
    FAULT_OVER,
    GAP,
    NOW,
    RAISED,
    SCORE,
    SHELVED,
    STARTED,
)
from rich.console import Console

from edge_asd.events.event import Event, utc_text
from edge_asd.events.moment import Moment
from edge_asd.events.status import FaultStatus, Status, StatusBoard
from edge_asd.monitor.meter import Meter, sparkline

CALM = replace(SCORE, score=0.5)
HEARING = Status(
    machine="pump",
    started=NOW,
    threshold=2.0,
    capture="healthy",
    updated_s=100.0,
    audio_at_s=100.0,
    score_at_s=100.0,
    backlog_s=1.25,
)
DEAF = FaultStatus("capture_lost", "deaf", "plug it in", utc_text(NOW))


def last_frame(
    events: Iterable[Event],
    audio: np.ndarray | None = None,
    *,
    silent_s: float | None = None,
    **status: Any,
) -> str:
    """All text after these events and this audio; the last frame ends it.

    Parameters
    ----------
    silent_s : how long ago the audio of a live source came
    status : of the monitor, where it differs from one that hears normal sound
    """
    console = Console(
        file=StringIO(), force_terminal=True, width=160, height=25, color_system=None,
        _environ={"TERM": "xterm"},
    )  # fmt: skip
    board = StatusBoard(replace(HEARING, **status))
    meter = Meter(console, board, now_s=None if silent_s is None else lambda: 100.0 + silent_s)
    with closing(meter):
        if audio is not None:
            meter.on_block(Moment(NOW, 0.1, "pump"), audio)
        for event in events:
            meter.on_event(event)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_levels_and_peaks_of_both_channels_are_shown() -> None:
    audio = np.stack([np.full(1600, 0.1), np.full(1600, 0.01)]).astype(np.float32)

    text = last_frame([], audio)

    assert "-20.0 dBFS  peak  -20.0" in text
    assert "-40.0 dBFS  peak  -40.0" in text
    assert "lag 1.2 s" in text


def test_samples_that_are_no_numbers_are_shown_as_silence() -> None:
    text = last_frame([CALM], np.full((2, 1600), np.nan, np.float32))

    assert "near" in text
    assert "nan" not in text


def test_the_score_is_shown_against_its_threshold() -> None:
    text = last_frame([SCORE])

    assert "1.500  threshold 2.000" in text
    assert "normal" in text


def test_what_is_rare_is_a_line_above_the_view() -> None:
    text = last_frame([RAISED, CLEARED, GAP, ACKNOWLEDGED, FAULT, FAULT_OVER])

    assert "pump  ALARM  score 1.500 > 2.000" in text
    assert "pump  cleared after 4.0 s" in text
    assert "pump  gap: too slow, 0.5 s lost" in text
    assert "pump  acknowledged bearing ordered" in text
    assert "pump  FAULT  the sound card stopped or was unplugged: plug it in" in text
    assert "pump  fault over: it is back" in text


def test_the_promise_is_the_first_line() -> None:
    said = (
        "about 1 false alarm a month (measured from 1000 takes); a lasting change is raised within"
    )

    assert said in last_frame([replace(STARTED, promise=f"{said} 70 s")])


def test_an_alarm_stays_in_view_until_it_is_cleared() -> None:
    on = replace(SCORE, alarm=True, state="alarm")

    assert "ALARM since" in last_frame([on, RAISED], alarm_state="alarm")
    assert "ALARM since" not in last_frame([on, RAISED, CALM, CLEARED])


def test_an_alarm_that_somebody_has_seen_says_so() -> None:
    on = replace(SCORE, alarm=True, state="alarm")

    assert "ACKNOWLEDGED since" in last_frame(
        [on, RAISED, ACKNOWLEDGED], alarm_state="acknowledged"
    )


def test_shelving_is_in_view() -> None:
    assert " shelved " in last_frame([SCORE, SHELVED], alarm_state="shelved")


def test_a_deaf_monitor_does_not_look_normal() -> None:
    text = last_frame([SCORE, FAULT], faults=(DEAF,)).rpartition("plug it in")[2]

    assert "DEAF: the sound card stopped or was unplugged" in text
    assert " normal " not in text


def test_audio_that_stays_away_shows_before_any_fault_is_told() -> None:
    block = np.full((2, 1600), 0.1, np.float32)

    assert "DEAF: no sound for 4 s" in last_frame([SCORE], block, silent_s=4.0)
    assert "DEAF" not in last_frame([SCORE], block, silent_s=1.0)


def test_a_recording_is_never_deaf() -> None:
    assert "DEAF" not in last_frame([SCORE], np.full((2, 1600), 0.1, np.float32))


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
