"""The database: whatever the clock, the disk and the power do, it opens and counts once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from device.history_steps import HISTORY, NOON, RATE_HZ, a_minute, minutes_from, rows
from device.made_events import RAISED
from device.reports import a_notice

from edge_asd.errors import StateError
from edge_asd.history import database as database_module
from edge_asd.history import rows as schema
from edge_asd.history.ages import SUMMARIES, Span, cutoff
from edge_asd.history.database import DamagedHistoryError, HistoryDatabase, NewerHistoryError
from edge_asd.history.reading import read_history

DAY_S = 86_400
COUNTS = "SELECT start, windows FROM {} ORDER BY start"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / HISTORY


@pytest.fixture
def database(path: Path) -> HistoryDatabase:
    return HistoryDatabase(path, RATE_HZ, reserve_bytes=0)


def test_a_minute_is_in_its_hour_and_its_day_at_once(path: Path, database: HistoryDatabase) -> None:
    database.write(list(minutes_from(NOON + 3540, 2)), [])

    assert rows(path, COUNTS.format("minutes")) == [(NOON + 3540, 2), (NOON + 3600, 2)]
    assert rows(path, COUNTS.format("hours")) == [(NOON, 2), (NOON + 3600, 2)]
    assert rows(path, COUNTS.format("days")) == [(NOON - 12 * 3600, 4)]
    assert rows(path, COUNTS.format("quarter_spectra")) == [(NOON + 2700, 2), (NOON + 3600, 2)]


def test_a_clock_that_goes_back_adds_to_what_is_there(
    path: Path, database: HistoryDatabase
) -> None:
    database.write(list(minutes_from(NOON, 3)), [])
    database.write(list(minutes_from(NOON + 60, 1)), [])

    assert [windows for _, windows in rows(path, COUNTS.format("minutes"))] == [2, 4, 2]
    assert [windows for _, windows in rows(path, COUNTS.format("days"))] == [8]


@pytest.mark.parametrize("wrong", [0, NOON + 60 * 365 * DAY_S])
def test_a_clock_that_is_wrong_for_less_than_an_hour_costs_nothing(
    path: Path, database: HistoryDatabase, wrong: int
) -> None:
    database.write(list(minutes_from(NOON, 3)), [])
    for minute in minutes_from(wrong, 59):
        database.write([minute], [])
    for minute in minutes_from(NOON + 3600, 3):
        database.write([minute], [])

    starts = [start for start, _ in rows(path, COUNTS.format("minutes"))]
    assert {NOON, NOON + 60, NOON + 120, NOON + 3600} <= set(starts)


def test_a_clock_that_was_in_the_future_for_long_costs_no_new_minutes(
    path: Path, database: HistoryDatabase
) -> None:
    database.write(list(minutes_from(NOON + 60 * 365 * DAY_S, 200)), [])
    database.write(list(minutes_from(NOON, 100)), [])

    starts = [start for start, _ in rows(path, COUNTS.format("minutes"))]
    assert sum(start < NOON + DAY_S for start in starts) == 100


def test_the_old_is_kept_coarser(path: Path, database: HistoryDatabase) -> None:
    for day in (0, 40, 200, 430, 436, 448):
        database.write(list(minutes_from(NOON + day * DAY_S, 61)), [])

    last = NOON + 448 * DAY_S
    (minutes,), (hours,), (days,) = (
        rows(path, f"SELECT MIN(start) FROM {table}")[0] for table in ("minutes", "hours", "days")
    )
    assert (minutes, hours) == (last - 12 * DAY_S, last - 248 * DAY_S)
    assert days == NOON - 12 * 3600
    assert rows(path, "SELECT SUM(windows) FROM days") == [(6 * 61 * 2,)]


def test_nothing_is_forgotten_by_a_clock_without_proof() -> None:
    minutes, hours, days = SUMMARIES

    assert cutoff(minutes, NOON, None) is None
    assert cutoff(days, NOON, NOON) is None
    assert cutoff(minutes, 0, NOON) == -14 * DAY_S
    assert cutoff(hours, NOON, NOON) == NOON - 400 * DAY_S


def test_a_table_is_bounded_whatever_the_clock_shows(
    path: Path, database: HistoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Span("minutes", 60, 600)
    monkeypatch.setattr(database_module, "SUMMARIES", (tiny,))
    for start in range(100 * DAY_S, 0, -DAY_S):  # backwards
        database.write([a_minute(start)], [])

    assert rows(path, "SELECT COUNT(*) FROM minutes")[0][0] <= 22


def test_an_event_that_is_told_twice_is_kept_once(path: Path, database: HistoryDatabase) -> None:
    database.write([], [RAISED])
    database.write([], [RAISED])

    assert rows(path, "SELECT COUNT(*), event FROM events") == [(1, "alarm_raised")]


def test_too_many_events_lose_the_oldest(
    path: Path, database: HistoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.write([], [a_notice(i) for i in range(200)])
    monkeypatch.setattr(database_module, "_MOST_BYTES", 1)

    database.write([a_minute()], [])

    assert rows(path, "SELECT COUNT(*), MIN(number), MAX(number) FROM events") == [(180, 21, 200)]


@pytest.mark.parametrize(
    "content", [b"cut", b"no database at all" * 400, None], ids=["cut", "other", "overwritten"]
)
def test_a_damaged_file_is_seen_and_moved_aside(
    path: Path, database: HistoryDatabase, content: bytes | None
) -> None:
    database.write(list(minutes_from(NOON, 200)), [])
    database.close()
    whole = path.read_bytes()
    if content is None:
        content = whole[:4096] + bytes(8192) + whole[12288:]
    path.write_bytes(content)

    with pytest.raises(DamagedHistoryError):
        database.write([a_minute()], [])
    aside = database.move_aside()
    database.write([a_minute()], [])

    assert aside.read_bytes() == content
    assert rows(path, "SELECT COUNT(*) FROM minutes") == [(1,)]


def test_numbers_that_are_none_damage_nothing(path: Path, database: HistoryDatabase) -> None:
    for i in range(3):
        minute = a_minute(NOON + i, condition=float("inf"), threshold=float("nan"))
        minute.score(1.0, {"fkie@near": float("nan")}, np.full((2, 64), np.inf, np.float32))
        minute.score(1e308, {"fkie@near": 1e308}, np.full((2, 64), 1e30, np.float32))
        minute.score(1e308, {"fkie@near": 1e308}, np.full((2, 64), 1e30, np.float32))
        database.write([minute], [])

    assert rows(path, "SELECT SUM(windows) FROM days") == [(15,)]


def test_a_row_that_is_none_is_damage(path: Path, database: HistoryDatabase) -> None:
    database.write([a_minute()], [])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE minutes SET states = '[1'")
    other.close()

    with pytest.raises(DamagedHistoryError, match="a row is damaged"):
        database.write([a_minute()], [])


def test_a_database_of_something_else_is_damage(path: Path, database: HistoryDatabase) -> None:
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 1")
    other.close()

    with pytest.raises(DamagedHistoryError, match="no such table"):
        database.write([a_minute()], [])


def test_a_file_that_is_removed_is_made_again(path: Path, database: HistoryDatabase) -> None:
    database.write([a_minute()], [])
    for file in path.parent.iterdir():
        file.unlink()

    database.write([a_minute(NOON + 60)], [])

    assert [start for start, _ in rows(path, COUNTS.format("minutes"))] == [NOON + 60]


def test_a_disk_with_little_room_is_left_to_others(path: Path) -> None:
    database = HistoryDatabase(path, RATE_HZ, reserve_bytes=1 << 60)

    with pytest.raises(OSError, match="MB of the disk are free"):
        database.write([a_minute()], [])

    assert not path.exists()


def test_an_older_file_is_brought_to_this_version(
    path: Path, database: HistoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.write([a_minute()], [])
    database.close()
    later = (*schema.MIGRATIONS, "ALTER TABLE minutes ADD COLUMN weather TEXT;")
    monkeypatch.setattr(database_module, "MIGRATIONS", later)

    database.write([a_minute()], [])

    assert rows(path, "SELECT windows, weather FROM minutes") == [(4, None)]
    assert rows(path, "PRAGMA user_version") == [(len(later),)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, database: HistoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.write([a_minute()], [])
    database.close()
    later = (*schema.MIGRATIONS, "CREATE TABLE weather (x); SELECT * FROM nothing;")
    monkeypatch.setattr(database_module, "MIGRATIONS", later)

    with pytest.raises(DamagedHistoryError):
        database.write([a_minute()], [])

    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'weather'") == []


def test_the_file_of_a_later_version_is_left_alone(path: Path, database: HistoryDatabase) -> None:
    database.write([a_minute()], [])
    database.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()

    with pytest.raises(NewerHistoryError, match=r"is of version 99, .* update edge-asd"):
        database.write([a_minute()], [])
    with pytest.raises(StateError, match=r"is of version 99, .* update edge-asd"):
        read_history(path, 0, NOON)


def test_a_reader_sees_what_is_written_while_it_is_open(
    path: Path, database: HistoryDatabase
) -> None:
    database.write(list(minutes_from(NOON, 2)), [RAISED])

    found = read_history(path, NOON - DAY_S, NOON + 600)

    assert [summary.start for summary in found.summaries] == [NOON, NOON + 60]
    assert [summary.windows for summary in found.days] == [4]
    assert [spectrum.windows for spectrum in found.spectra] == [4]
    assert [event["event"] for event in found.events] == ["alarm_raised"]


@pytest.mark.parametrize(
    ("days", "table"), [(1, "minutes"), (14, "minutes"), (15, "hours"), (401, "days")]
)
def test_what_is_read_is_as_fine_as_all_of_it_is_kept(
    path: Path, database: HistoryDatabase, days: int, table: str
) -> None:
    database.write([a_minute()], [])

    assert read_history(path, NOON - days * DAY_S, NOON).span.table == table


def test_a_file_that_is_no_history_is_refused_in_one_line(path: Path) -> None:
    path.write_bytes(b"no database at all" * 400)

    with pytest.raises(StateError, match="cannot be read: file is not a database"):
        read_history(path, 0, NOON)


@pytest.mark.parametrize("kept", [0.1, 0.35, 0.62, 0.999])
@pytest.mark.parametrize("torn", [False, True], ids=["cut", "torn"])
def test_a_log_that_the_power_cut_costs_the_last_minutes_alone(
    path: Path, database: HistoryDatabase, tmp_path: Path, kept: float, *, torn: bool
) -> None:
    for minute in minutes_from(NOON, 20):
        database.write([minute], [])
    later = tmp_path / "after"
    later.mkdir()
    (later / HISTORY).write_bytes(path.read_bytes())
    log = path.with_name(f"{HISTORY}-wal").read_bytes()
    n = int(kept * len(log))
    (later / f"{HISTORY}-wal").write_bytes(log[:n] + bytes(len(log) - n if torn else 0))

    HistoryDatabase(later / HISTORY, RATE_HZ, reserve_bytes=0).write([a_minute(NOON + 6000)], [])

    (n_minutes, windows) = rows(later / HISTORY, "SELECT COUNT(*), SUM(windows) FROM minutes")[0]
    assert kept * 20 - 4 <= n_minutes - 1 <= 20
    assert rows(later / HISTORY, "SELECT SUM(windows) FROM hours") == [(windows,)]
    assert rows(later / HISTORY, "PRAGMA integrity_check") == [("ok",)]


def write_for_ever(path: Path, started: multiprocessing.synchronize.Event) -> None:
    database = HistoryDatabase(path, RATE_HZ, reserve_bytes=0)
    (found,) = rows(path, "SELECT COUNT(*) FROM minutes")[0] if path.exists() else (0,)
    while True:
        database.write([a_minute(NOON + 60 * found)], [])
        found += 1
        (path.parent / "telling").write_text(str(found))
        (path.parent / "telling").replace(path.parent / "told")
        started.set()


def test_a_writer_that_is_killed_loses_nothing_that_was_written(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for life in range(8):
        started = context.Event()
        process = context.Process(target=write_for_ever, args=(path, started), daemon=True)
        process.start()
        assert started.wait(60)
        process.join(0.003 * life)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()

        told = int((path.parent / "told").read_text())
        (n, windows) = rows(path, "SELECT COUNT(*), SUM(windows) FROM minutes")[0]
        assert told <= n <= told + 1
        assert (windows, 2 * n) == (2 * n, rows(path, "SELECT SUM(windows) FROM days")[0][0])
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
