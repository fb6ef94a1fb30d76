"""Minutes of a made-up machine, and what a database of them holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge_asd.explain.spectrogram import N_BANDS
from edge_asd.history.minute import Minute

RATE_HZ = 16_000
NOON = round(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
HISTORY = "history.db"


def a_minute(start: int = NOON, *scores: float, state: str = "normal", **changes: Any) -> Minute:
    """A minute with windows of these scores, whose sound has a level of -20 and -26 dBFS."""
    minute = Minute(start)
    audio = np.stack([np.full(RATE_HZ, 0.1), np.full(RATE_HZ, 0.05)]).astype(np.float32)
    minute.hear(audio, RATE_HZ)
    for score in scores or (1.0, 1.2):
        power = np.full((2, N_BANDS), 1e-6, np.float32)
        minute.score(score, {"fkie@near": score / 2, "fkie@far": score}, power)
    minute.pass_time(60.0, state, (), deaf=state == "unknown")
    minute.threshold = 2.0
    minute.condition = 10.0
    for name, value in changes.items():
        setattr(minute, name, value)
    return minute


def rows(path: Path, select: str) -> list[tuple[Any, ...]]:
    """What a question to the database gives."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(select).fetchall()


def minutes_from(start: int, n: int) -> Iterator[Minute]:
    """Minutes that follow each other."""
    return (a_minute(start + 60 * i) for i in range(n))
