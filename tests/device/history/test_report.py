"""Lines, exports and the picture of a history."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from device.history_steps import HISTORY, NOON, RATE_HZ, a_minute, minutes_from
from device.made_events import RAISED
from PIL import Image

from edge_asd.history.database import HistoryDatabase
from edge_asd.history.export import json_lines, write_csv
from edge_asd.history.plot import draw_history
from edge_asd.history.reading import History, read_history
from edge_asd.history.report import periods, sparkline

HOUR_S, DAY_S = 3600, 86_400
MIDNIGHT = NOON - 12 * HOUR_S


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Half an hour at noon, ten deaf minutes of it, and one with an alarm."""
    minutes = list(minutes_from(NOON, 19))
    minutes.append(a_minute(NOON + 19 * 60, 5.0, 5.0, state="alarm"))
    minutes[-1].events["alarm_raised"] += 1
    minutes += [a_minute(NOON + 60 * i, state="unknown") for i in range(20, 30)]
    minutes[-1].faults["capture_lost"] += 60
    return recorded(tmp_path, minutes)


def recorded(folder: Path, minutes: list) -> History:
    database = HistoryDatabase(folder / HISTORY, RATE_HZ, reserve_bytes=0)
    database.write(minutes, [RAISED])
    database.close()
    return read_history(folder / HISTORY, MIDNIGHT, MIDNIGHT + DAY_S)


def test_a_sparkline_has_a_character_for_each_value() -> None:
    line = sparkline([None, 0.0, 0.5, 0.999, 9.0, -1.0, 0.2], 0.0, 1.0, [False] * 6 + [True])

    assert line == " ▁▄▇▇▁█"


def test_a_sparkline_of_equal_values_is_flat() -> None:
    assert sparkline([2.0, 2.0], 2.0, 2.0) == "▁▁"


def test_a_day_says_when_the_monitor_heard_was_deaf_and_was_off(history: History) -> None:
    (day,) = periods(history, MIDNIGHT, NOON + HOUR_S)

    assert day.name == "11-22"
    assert (day.uptime.heard_s, day.uptime.deaf_s, day.uptime.off_s) == (1200.0, 600.0, 1800.0)
    assert (day.alarms, day.faults) == (1, 0)


def test_a_day_has_a_cell_for_every_two_hours(history: History) -> None:
    (day,) = periods(history, MIDNIGHT, NOON + HOUR_S)

    assert [place for place, score in enumerate(day.scores) if score is not None] == [6]
    assert day.levels_dbfs[6] == pytest.approx(-20.0, abs=1e-5)
    assert day.condition == 10.0


def test_a_cell_is_full_where_the_score_is_above_the_threshold(tmp_path: Path) -> None:
    found = recorded(tmp_path, [a_minute(NOON, 3.0), a_minute(NOON + 2 * HOUR_S, 1.0)])

    (day,) = periods(found, MIDNIGHT, NOON + 4 * HOUR_S)

    assert day.above[6:8] == [True, False]


def test_a_long_time_has_a_line_for_each_month(history: History) -> None:
    lines = periods(history, MIDNIGHT - 300 * DAY_S, MIDNIGHT + 60 * DAY_S)

    assert [line.name for line in lines] == ["2026-11", "2026-12", "2027-01"]
    assert [line.alarms for line in lines] == [1, 0, 0]
    assert lines[1].uptime.off_s == 31 * DAY_S


def test_csv_has_a_line_for_each_minute_and_a_column_for_each_name(history: History) -> None:
    file = io.StringIO()
    write_csv(history, file)

    lines = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(lines) == 30
    assert lines[0]["time"] == "2026-11-22T12:00:00.000Z"
    assert (lines[0]["windows"], lines[0]["branch_fkie@far"]) == ("2", "1.1")
    assert (lines[19]["state_alarm"], lines[19]["event_alarm_raised"]) == ("60.0", "1")
    assert (lines[0]["state_alarm"], lines[29]["fault_capture_lost"]) == ("", "60")


def test_json_has_a_line_for_each_minute_spectrum_and_event(history: History) -> None:
    lines = [json.loads(line) for line in json_lines(history)]

    kinds = [line["record"] for line in lines]
    assert [kinds.count(kind) for kind in ("minutes", "bands", "quarter_spectra", "event")] == [
        *(30, 1, 2, 1)
    ]
    assert lines[0]["branches"] == {"fkie@near": 0.55, "fkie@far": 1.1}
    bands, spectrum = lines[30], lines[31]
    assert len(bands["edges_hz"]) == len(spectrum["near_dbfs"]) + 1 == 65
    assert lines[-1]["event"] == "alarm_raised"


def pixels(history: History, until_s: int = NOON + HOUR_S) -> np.ndarray:
    image = Image.open(io.BytesIO(draw_history(history, "pump [3]", MIDNIGHT, until_s)))
    assert (image.format, image.size) == ("PNG", (1200, 800))
    return np.asarray(image.convert("RGB")).astype(int)


def near(image: np.ndarray, colour: str) -> np.ndarray:
    wanted = np.array(list(bytes.fromhex(colour)))
    found: np.ndarray = np.abs(image - wanted).max(axis=-1) < 24
    return found


def test_the_picture_shows_score_threshold_level_condition_and_what_the_monitor_did(
    history: History,
) -> None:
    image = pixels(history)

    noon = slice(1080, 1130)  # of a picture from midnight to one o'clock
    assert near(image[80:330, noon], "3b528b").any()
    assert near(image[80:330, noon], "b00020").any()
    assert near(image[380:560, noon], "5ec962").any()
    assert near(image[610:700, noon], "3b528b").any()
    strip = image[736]
    assert near(strip, "8fce9b").sum() > near(strip, "e69500").sum() > 10
    assert near(strip[80:1000], "dddddd").all()


def test_the_picture_marks_alarms_where_they_were(tmp_path: Path, history: History) -> None:
    image = pixels(history)

    (columns,) = np.nonzero(near(image[590], "ff3b30"))
    hours = (datetime.fromtimestamp(MIDNIGHT, UTC) - RAISED.time).total_seconds() / -HOUR_S
    assert columns.tolist() == pytest.approx([80 + 1090 * hours / 13], abs=1.0)


def test_the_picture_of_one_minute_can_be_drawn(tmp_path: Path) -> None:
    pixels(recorded(tmp_path, [a_minute(NOON)]), NOON + 60)
