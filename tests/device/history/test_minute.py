"""Windows, blocks and time become a minute, and minutes become hours and days."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from device.history_steps import NOON, RATE_HZ, a_minute

from edge_asd.history.minute import Minute, minute_of
from edge_asd.history.rows import COLUMNS, summary_of, values_of
from edge_asd.history.score_counts import bucket_of, quantiles
from edge_asd.history.spectrum import Spectrum, log_spectrograph
from edge_asd.history.summary import Summary


@pytest.mark.parametrize(
    ("time", "start"),
    [("2026-11-22T12:00:59.999", NOON), ("1970-01-01T00:00:30", 0), ("1969-12-31T23:59:59", -60)],
)
def test_a_time_belongs_to_one_minute(time: str, start: int) -> None:
    assert minute_of(datetime.fromisoformat(time).replace(tzinfo=UTC)) == start


def test_a_minute_says_what_was_heard_and_scored() -> None:
    found = Summary(start=NOON).plus(a_minute(NOON, 1.0, 2.0, 6.0))

    assert (found.windows, found.score_mean, found.score_min, found.score_max) == (3, 3.0, 1.0, 6.0)
    assert found.score_p50 == pytest.approx(2.0, rel=0.006)
    assert found.branches == {"fkie@near": (3, 1.5), "fkie@far": (3, 3.0)}
    assert [found.near_dbfs, found.near_peak_dbfs] == pytest.approx([-20.0, -20.0], abs=1e-5)
    assert found.far_dbfs == pytest.approx(-26.02, abs=0.01)
    assert (found.threshold, found.condition) == (2.0, 10.0)
    assert (found.heard_s, found.deaf_s, found.states) == (60.0, 0.0, {"normal": 60.0})


def test_two_minutes_together_are_as_one_of_both() -> None:
    first, second = a_minute(NOON, 1.0), a_minute(NOON, 4.0, 4.0, 4.0, state="unknown")
    second.condition = 30.0
    second.hear(np.full((2, 3 * RATE_HZ), 0.5, np.float32), RATE_HZ)

    found = Summary(start=NOON).plus(first).plus(second)

    assert (found.windows, found.score_mean) == (4, 3.25)
    assert found.branches["fkie@far"] == (4, 3.25)
    assert (found.condition, found.condition_s) == (20.0, 120.0)
    assert (found.heard_s, found.deaf_s) == (60.0, 60.0)
    assert found.states == {"normal": 60.0, "unknown": 60.0}
    power = (2 * 0.1**2 + 3 * 0.5**2) / 5
    assert found.near_dbfs == pytest.approx(10 * np.log10(power), abs=1e-4)
    assert found.near_peak_dbfs == pytest.approx(-6.02, abs=0.01)


def test_a_minute_in_which_nothing_was_heard_has_no_scores_and_no_levels() -> None:
    minute = Minute(NOON)
    minute.pass_time(60.0, "unknown", ["capture_lost"], deaf=True)

    found = Summary(start=NOON).plus(minute)

    assert found.faults == {"capture_lost": 60.0}
    assert (found.score_mean, found.near_dbfs, found.near_peak_dbfs) == (None, None, None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sound_that_is_no_number_leaves_the_levels_alone(value: float) -> None:
    minute = a_minute()
    minute.hear(np.full((2, 100), value, np.float32), RATE_HZ)

    found = Summary(start=NOON).plus(minute)

    assert found.near_dbfs == pytest.approx(-20.0, abs=1e-5)


def test_quantiles_of_a_day_are_those_of_its_windows() -> None:
    scores = np.random.default_rng(1).gamma(9.0, 0.1, (1440, 6)) + np.linspace(0, 1, 1440)[:, None]
    day = Summary(start=NOON)
    for new in scores:
        day = day.plus(a_minute(NOON, *new.tolist()))

    found = [day.score_min, day.score_p05, day.score_p50, day.score_p95, day.score_max]

    assert found == pytest.approx(np.quantile(scores, [0, 0.05, 0.5, 0.95, 1]).tolist(), rel=0.006)


@pytest.mark.parametrize("score", [-1e9, -3.0, -1e-9, 0.0, 1e-9, 0.5, 3.0, 1e9])
def test_a_score_is_in_a_bucket_of_its_size(score: float) -> None:
    (found,) = quantiles({bucket_of(score): 1}, [0.5])

    assert found == pytest.approx(float(np.clip(score, -1e6, 1e6)), rel=0.006, abs=1e-6)


def test_buckets_are_in_the_order_of_the_scores() -> None:
    scores = [-20.0, -3.0, -0.1, 0.0, 0.1, 3.0, 20.0]

    assert sorted(scores, key=bucket_of) == scores


def test_a_row_holds_a_whole_summary() -> None:
    summary = Summary(start=NOON).plus(a_minute(NOON, 1.0, 2.0))

    assert summary_of(values_of(summary)) == summary


@pytest.mark.parametrize(
    ("column", "value"), [("windows", -1), ("score_p50", "1"), ("sound_s", np.inf)]
)
def test_a_row_with_what_is_no_number_is_refused(column: str, value: object) -> None:
    row = values_of(Summary(start=NOON))
    row[COLUMNS.index(column)] = value

    with pytest.raises(ValueError, match=f"{column} of a row is"):
        summary_of(row)


@pytest.mark.parametrize("content", ["[]", '{"a": "b"}', "{", '{"a": null}'])
def test_a_row_that_is_no_summary_is_refused(content: str) -> None:
    row = values_of(Summary(start=NOON))
    row[-1] = content

    with pytest.raises(ValueError, match=r".+"):
        summary_of(row)


@pytest.mark.parametrize("hz", [60.0, 1000.0, 6000.0])
def test_a_tone_is_in_the_band_of_its_octave(hz: float) -> None:
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    tone = np.stack([np.sin(2 * np.pi * hz * time_s)] * 2).astype(np.float32)
    instrument = log_spectrograph(RATE_HZ)

    power = instrument.mean_power(tone)

    band = int(np.argmax(power[0]))
    assert instrument.edges_hz[band] - 4 <= hz <= instrument.edges_hz[band + 1] + 4
    assert power[0].sum() == pytest.approx(0.5, rel=0.02)
    octaves = np.log2(instrument.edges_hz[1:] / instrument.edges_hz[:-1])[20:]
    assert octaves == pytest.approx(np.full(len(octaves), np.log2(8000 / 30) / 64), rel=0.3)


def test_a_spectrum_is_the_mean_power_of_its_windows() -> None:
    quiet, loud = np.full((2, 64), 1e-6), np.full((2, 64), 3e-6)

    found = Spectrum.nothing(NOON, RATE_HZ).plus(quiet, 1).plus(loud, 1)

    assert found.windows == 2
    assert found.near_dbfs == pytest.approx(np.full(64, 10 * np.log10(2e-6)))
    again = Spectrum.from_row(*found.to_row())
    assert again.far_dbfs == pytest.approx(found.far_dbfs, abs=1e-5)
