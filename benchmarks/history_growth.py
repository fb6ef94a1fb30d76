"""How large the history of a machine becomes in years, and what a minute of it costs.

    python -m benchmarks.history_growth [--years 10] [--events-a-day 20]

Minutes of a made-up machine go through the real database: a window every two seconds with two
branches, a fault and an alarm now and then, events of 3 kB. To take minutes instead of days, years
that minutes and hours are forgotten of are written as a few minutes of each hour, which gives the
same rows of hours and days; the last 15 days are complete.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from edge_asd.events.event import AlarmRaisedEvent, Event
from edge_asd.explain.explanation import Explanation
from edge_asd.explain.spectrogram import N_BANDS
from edge_asd.history.ages import SPECTRA, SUMMARIES
from edge_asd.history.database import HistoryDatabase
from edge_asd.history.minute import Minute

RATE_HZ = 16_000
START = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETE_DAYS = 15
HOURLY_DAYS = 401  # before these, hours are forgotten, too
WINDOWS = 30  # a minute


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--events-a-day", type=int, default=20)
    options = parser.parse_args()
    n_days = round(365.25 * options.years)
    rng = np.random.default_rng(0)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        database = HistoryDatabase(path, RATE_HZ, reserve_bytes=0)
        for day in track(range(n_days), "days", console=console):
            begin = START + timedelta(days=day)
            minutes = list(_minutes(begin, n_days - day, rng))
            events = [_event(begin, i) for i in range(options.events_a_day)]
            database.write(minutes, events)
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        for minute in minutes[-200:]:
            database.write([minute], [])
        wall_ms, cpu_ms = (
            1000 * (end - begin_s) / 200
            for end, begin_s in (
                (time.perf_counter(), begun_s),
                (time.process_time(), begun_cpu_s),
            )
        )
        write_ahead = path.with_name("history.db-wal").stat().st_size
        database.close()
        console.print(f"{options.years:g} years, {options.events_a_day} events a day")
        console.print(f"file {path.stat().st_size / 1e6:.1f} MB, log {write_ahead / 1e6:.1f} MB")
        with closing(sqlite3.connect(path)) as reader:
            for table in (*(span.table for span in (*SUMMARIES, *SPECTRA)), "events"):
                n, first = reader.execute(f"SELECT COUNT(*), MIN(rowid) FROM {table}").fetchone()
                console.print(f"{table}: {n} rows, the first {first}")
        console.print(f"a minute: {wall_ms:.1f} ms, {cpu_ms:.1f} ms of the processor")


def _minutes(begin: datetime, days_left: int, rng: np.random.Generator) -> Iterator[Minute]:
    step = 1 if days_left <= COMPLETE_DAYS else 30 if days_left <= HOURLY_DAYS else 720
    for number in range(0, 1440, step):
        minute = Minute(round(begin.timestamp()) + 60 * number)
        minute.hear(rng.normal(0.0, 0.05, (2, 1000)).astype(np.float32), RATE_HZ)
        # More windows where fewer minutes are written, for as many buckets of scores.
        for score in rng.gamma(9.0, 0.1, WINDOWS * min(step, 10)).tolist():
            power = rng.gamma(2.0, 1e-6, (2, N_BANDS)).astype(np.float32)
            minute.score(score, {"fkie@near": score, "fkie@stereo": 2 * score}, power)
        faults = ["signal_level"] if rng.random() < 0.1 else []
        minute.pass_time(50.0, "normal", faults, deaf=False)
        minute.pass_time(10.0, "warning", ["clock"], deaf=False)
        minute.threshold, minute.condition = 1.9, float(rng.uniform(0, 20))
        minute.events["notice"] += int(rng.random() < 0.1)
        yield minute


def _event(begin: datetime, number: int) -> Event:
    return AlarmRaisedEvent(
        time=begin + timedelta(seconds=60 * number),
        stream_time_s=0.0,
        machine="pump-3",
        window_start_s=0.0,
        score=3.0,
        threshold=2.0,
        clear_threshold=1.0,
        branches={"fkie@near": 1.0, "fkie@stereo": 2.0},
        level_dbfs={"near": -20.0, "far": -26.0},
        alarm_id="pump-3-20261122T083005000Z",
        rule="confirmed",
        above_since_s=5.0,
        explanation=Explanation("x" * 2500, "", None, {}, 0),
    )


if __name__ == "__main__":
    main()
