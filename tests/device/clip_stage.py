"""A clip recorder and the stream that it hears: samples that name their own position."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from edge_asd.clips.recorder import ClipRecorder
from edge_asd.events.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
)
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.explain.deviation import find_deviation
from edge_asd.explain.explanation import Explanation
from edge_asd.profile import ClipSettings

RATE_HZ = 8000
START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
BLOCK_S = 0.1
WINDOW_S = 2.0
ALARM = "pump-20261122T083010000Z"
SETTINGS = ClipSettings(
    enabled=True,
    pre_roll_s=3.0,
    post_roll_s=2.0,
    max_clip_s=60.0,
    max_bytes=10**9,
    reserve_bytes=0,
)


def expected_frames(start_s: float, end_s: float) -> np.ndarray:
    """Samples that name their own position, (n, 2) int16."""
    index = np.arange(round(start_s * RATE_HZ), round(end_s * RATE_HZ))
    return np.stack([index % 30000, -(index % 29000)], axis=1).astype(np.int16)


def moment(time_s: float) -> Moment:
    return Moment(START + timedelta(seconds=time_s), time_s, "pump")


class Stage:
    """A recorder and the stream that it hears."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.changes: list[FaultChange] = []
        self.recorder = ClipRecorder(
            folder,
            SETTINGS.model_copy(update=settings),
            sample_rate_hz=RATE_HZ,
            report=self.changes.append,
        )
        self.at_s = 0.0

    def hear(self, until_s: float) -> None:
        while self.at_s < until_s - 1e-6:
            end_s = min(round(self.at_s + BLOCK_S, 6), until_s)
            audio = expected_frames(self.at_s, end_s).T.astype(np.float32) / np.float32(32768)
            self.recorder.on_block(moment(end_s), audio)
            self.at_s = end_s

    def gap(self, lost_s: float | None) -> None:
        """Sound goes on after a loss; the monitor tells of it after the next block."""
        self.at_s += lost_s or 0.0
        after_s = self.at_s
        self.hear(after_s + BLOCK_S)
        self.recorder.on_gap(moment(after_s), lost_s)

    def raised(
        self, alarm_id: str = ALARM, *, since_s: float | None = None, explained: bool = True
    ) -> None:
        self.recorder.on_event(raised(self.at_s, alarm_id, since_s=since_s, explained=explained))

    def cleared(self, alarm_id: str = ALARM) -> None:
        self.recorder.on_event(cleared(self.at_s, alarm_id))

    def close(self) -> None:
        self.recorder.close()
        self.recorder.on_tick(moment(self.at_s))

    def record(self, alarm_id: str = ALARM) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / alarm_id / "event.json").read_text())
        return content

    def sound(self, alarm_id: str = ALARM) -> np.ndarray:
        frames, rate_hz = soundfile.read(self.folder / alarm_id / "audio.flac", dtype="int16")
        assert rate_hz == RATE_HZ
        return np.asarray(frames)


def facts(time_s: float) -> dict[str, Any]:
    return {
        **moment(time_s).facts(),
        "window_start_s": time_s - WINDOW_S,
        "score": 2.5,
        "threshold": 1.0,
        "clear_threshold": 0.8,
        "branches": {"fkie@near": 2.5},
        "level_dbfs": {"near": -20.0, "far": -26.0},
    }


def explanation() -> Explanation:
    deviation = find_deviation(np.zeros((2, RATE_HZ), np.float32), RATE_HZ, None)
    return Explanation("it hums", "fkie@near", 2.5, {}, 0, deviation=deviation)


def raised(
    time_s: float, alarm_id: str, *, since_s: float | None = None, explained: bool = True
) -> AlarmRaisedEvent:
    return AlarmRaisedEvent(
        **facts(time_s),
        alarm_id=alarm_id,
        rule="confirmed",
        above_since_s=time_s if since_s is None else since_s,
        explanation=explanation() if explained else None,
    )


def cleared(time_s: float, alarm_id: str) -> AlarmClearedEvent:
    return AlarmClearedEvent(**facts(time_s), alarm_id=alarm_id, duration_s=3.0, max_score=4.0)
