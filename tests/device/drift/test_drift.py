"""A notice says that normal has moved, once, with figures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_asd.drift.drift import Drift, NormalSummary
from edge_asd.events.event import Event, NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.profile import DriftSettings
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import ScoredWindow
from edge_asd.state.atomic import write_atomically

RATE_HZ = 100
WINDOW_S = 10
START = datetime(2026, 11, 20, tzinfo=UTC)
SETTINGS = DriftSettings(notice_after_days=1, min_hours=4.0)
ENROLLED = NormalSummary(
    score_p05=1.2, score_median=1.31, score_p95=1.49, near_dbfs=-32.0, far_dbfs=-35.0
)
OTHER = ENROLLED.model_copy(update={"score_p05": 3.0, "score_median": 3.1, "score_p95": 3.3})
RNG = np.random.default_rng(0)
WHITE = RNG.standard_normal((2, WINDOW_S * RATE_HZ)).astype(np.float32)
WHITE /= np.sqrt(np.mean(WHITE**2, axis=1, keepdims=True))


class Machine:
    """A machine that is heard around the clock, one window per minute."""

    def __init__(self, drift: Drift, *, start: datetime = START, first_sample: int = 0) -> None:
        self.drift = drift
        self.start = start
        self.first_sample = first_sample
        self.minutes = 0
        self.events: list[Event] = []

    def run(
        self,
        hours: float,
        *,
        score: float = 1.31,
        near_dbfs: float = -32.0,
        far_dbfs: float = -35.0,
        state: str = "normal",
    ) -> None:
        gains = 10 ** (np.array([[near_dbfs], [far_dbfs]]) / 20)
        audio = (WHITE * gains).astype(np.float32)
        for _ in range(round(hours * 60)):
            self.minutes += 1
            time_s = 60.0 * self.minutes
            jitter = float(RNG.uniform(-0.1, 0.1))
            window = ScoredWindow(
                self.first_sample + round(time_s * RATE_HZ) - audio.shape[1],
                audio,
                WindowScore(score + jitter, {"near": score}),
                busy_s=0.1,
            )
            at = Moment(self.start + timedelta(seconds=time_s), time_s, "fan")
            self.events += self.drift.on_window(at, window, state)

    @property
    def notices(self) -> list[NoticeEvent]:
        return [event for event in self.events if isinstance(event, NoticeEvent)]


def drift(
    file: Path | None = None,
    *,
    normal: NormalSummary | None = ENROLLED,
    days: int = 1,
    min_hours: float = 1.0,
    **more,
) -> Drift:
    settings = DriftSettings(notice_after_days=days, min_hours=min_hours)
    facts: dict[str, Any] = {"write": write_atomically, "sample_rate_hz": RATE_HZ} | more
    return Drift(settings, normal=normal, file=file, **facts)


def test_days_like_the_enrolment_are_passed_over_in_silence() -> None:
    machine = Machine(drift())

    machine.run(5 * 24)

    assert machine.events == []


def test_a_day_whose_median_was_rare_when_enrolled_is_noticed_with_the_figures() -> None:
    machine = Machine(drift())

    machine.run(25, score=1.52, near_dbfs=-39)

    (notice,) = machine.notices
    assert notice.notice == "drift"
    assert notice.text == (
        "normal has moved since enrolment (score up, near level down): median score 1.31 -> 1.52 "
        "(95 % were below 1.49), near -32 -> -39 dBFS, far -35 -> -35 dBFS; enrol again?"
    )
    assert notice.figures["score_median"] == pytest.approx(1.52, abs=0.02)
    assert notice.figures["score_median_before"] == 1.31
    assert notice.figures["near_dbfs"] == pytest.approx(-39, abs=0.1)
    assert notice.figures["day"] == "2026-11-20"
    assert json.loads(notice.to_json())["machine"] == "fan"


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        ({"score": 1.6}, "score up"),
        ({"score": 1.0}, "score down"),
        ({"near_dbfs": -25.0}, "near level up"),
        ({"far_dbfs": -42.0}, "far level down"),
    ],
)
def test_scores_and_levels_are_noticed_in_both_directions(now: dict[str, Any], moved: str) -> None:
    machine = Machine(drift())

    machine.run(25, **now)

    assert [notice.figures["moved"] for notice in machine.notices] == [moved]


def test_one_shift_is_said_once_and_a_further_one_again() -> None:
    machine = Machine(drift())

    machine.run(6 * 24, score=1.6)
    once = len(machine.notices)
    machine.run(3 * 24, score=2.2)

    assert once == 1
    assert [round(float(n.figures["score_median"]), 1) for n in machine.notices] == [1.6, 2.2]


def test_a_shift_that_went_away_is_said_again_when_it_returns() -> None:
    machine = Machine(drift())

    for score in (1.6, 1.31, 1.6):
        machine.run(48, score=score)
    machine.run(24)

    assert len(machine.notices) == 2


def test_days_around_the_limit_do_not_repeat_the_notice() -> None:
    machine = Machine(drift())

    for day in range(10):
        machine.run(24, score=1.52 if day % 2 else 1.46)

    assert len(machine.notices) == 1


@pytest.mark.parametrize("days", [1, 3])
def test_a_shift_must_last_for_the_days_of_the_profile(days: int) -> None:
    machine = Machine(drift(days=days))

    machine.run(24 * (days - 1) + 23.9, score=1.6)
    before = len(machine.notices)
    machine.run(0.2, score=1.6)

    assert (before, len(machine.notices)) == (0, 1)


@pytest.mark.parametrize(("min_hours", "n_notices"), [(23.9, 1), (24.0, 0)])
def test_sound_in_several_windows_counts_once(min_hours: float, n_notices: int) -> None:
    watched = drift(min_hours=min_hours)
    machine = Machine(watched)
    audio = np.repeat(WHITE, 18, axis=1)[:, : 90 * RATE_HZ] * np.float32(0.01)

    for minute in range(1, 24 * 60 + 3):  # windows of 90 s, one per minute
        at = Moment(START + timedelta(minutes=minute), 60.0 * minute, "fan")
        start = round(60.0 * minute * RATE_HZ) - audio.shape[1]
        window = ScoredWindow(start, audio, WindowScore(1.6, {}), busy_s=0.1)
        machine.events += watched.on_window(at, window, "normal")

    assert len(machine.events) == n_notices  # of 23 hours and 59 minutes of sound


@pytest.mark.parametrize("first_sample", [0, 10**9])
def test_the_length_of_a_window_does_not_depend_on_its_place(first_sample: int) -> None:
    watched = drift(min_hours=3.9)
    machine = Machine(watched, first_sample=first_sample)

    machine.run(25, score=1.6)  # a window of ten seconds per minute: four hours

    assert len(machine.events) == 1


def test_a_day_with_little_sound_does_not_count() -> None:
    machine = Machine(drift(min_hours=5.0))  # a window of ten seconds per minute: four hours

    machine.run(72, score=1.6)

    assert machine.events == []


@pytest.mark.parametrize("state", ["warning", "alarm", "acknowledged", "shelved", "cleared"])
def test_windows_of_an_alarm_are_not_normal(state: str) -> None:
    machine = Machine(drift())

    machine.run(30, score=1.31)
    machine.run(60, score=9.0, state=state)
    machine.run(24, score=1.31)

    assert machine.events == []


def test_scores_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    watched = drift(tmp_path / "daily.json")
    machine = Machine(watched)

    machine.run(2, score=float("nan"))
    machine.run(2)
    watched.close()

    assert len(json.loads((tmp_path / "daily.json").read_text())["today"]["windows"]) == 120


def test_without_an_enrolment_the_first_whole_day_stands_in() -> None:
    machine = Machine(drift(normal=None))

    machine.run(48)
    machine.run(25, score=1.8)

    (notice,) = machine.notices
    assert notice.text.startswith("normal has moved since 2026-11-20 (score up)")


def test_a_day_goes_on_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "daily.json"
    before = Machine(drift(file, min_hours=3.9))
    before.run(12, score=1.6)
    before.drift.close()

    after = Machine(drift(file, min_hours=3.9), start=START + timedelta(hours=12))
    after.run(13, score=1.6)

    assert len(after.notices) == 1
    assert after.notices[0].figures["heard_hours"] == pytest.approx(4.0, abs=0.1)


def test_a_restart_does_not_repeat_a_notice(tmp_path: Path) -> None:
    file = tmp_path / "daily.json"
    Machine(drift(file)).run(25, score=1.6)  # killed: what was said is kept at once

    after = Machine(drift(file), start=START + timedelta(hours=25))
    after.run(48, score=1.6)

    assert after.events == []


@pytest.mark.parametrize("other", [{"normal": OTHER}, {"scored_by": "bundle 2"}])
def test_another_enrolment_or_bundle_begins_anew(tmp_path: Path, other: dict) -> None:
    file = tmp_path / "daily.json"
    Machine(drift(file)).run(47, score=1.6)

    again = drift(file, **other)
    again.close()

    content = json.loads(file.read_text())
    assert (content["days"], content["today"], content["announced"]) == ([], None, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"\xff\xfe",
        b'{"format_version": 99}',
        b'{"something": "else"}',
        b'{"format_version": 1, "days": 3}',
        b'{"format_version": 1, "scored_by": "", "enrolled": {"near_dbfs": 1}, "announced": null,'
        b' "days": [], "today": null}',
        b'{"format_version": 1, "scored_by": "", "enrolled": null, "announced": null, "days": [],'
        b' "today": {"day": "2026-11-20", "heard_s": 1, "every": 0, "windows": []}}',
        b'{"format_version": 1, "scored_by": "", "enrolled": null, "announced": null, "days": [],'
        b' "today": {"day": "2026-11-20", "heard_s": 1, "every": 1, "windows": [[NaN, 1, 2]]}}',
        b'{"format_version": 1, "scored_by": "", "enrolled": null, "announced": null, "days": [],'
        b' "today": {"day": "no day", "heard_s": 1, "every": 1, "windows": []}}',
    ],
)
def test_a_broken_or_foreign_file_is_warned_of_and_moved_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    file = tmp_path / "daily.json"
    file.write_bytes(content)

    machine = Machine(drift(file))
    machine.run(25, score=1.6)

    assert len(machine.notices) == 1
    assert (tmp_path / "daily.json.broken").read_bytes() == content
    assert str(file) in caplog.records[0].message
    assert json.loads(file.read_text())["days"]


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    numbers = {"score_p05": 1.2, "score_median": 1.31, "score_p95": 1.49}
    numbers |= {"near_dbfs": -32.0, "far_dbfs": -35.0}
    days = [{"day": "2026-11-19", "heard_s": 86000.0, "normal": numbers}]
    today = {"day": "2026-11-20", "heard_s": 20.0, "every": 1, "windows": [[1.3, -32.0, -35.0]] * 2}
    content = {"format_version": 1, "scored_by": "", "enrolled": numbers, "announced": None}
    file = tmp_path / "daily.json"
    file.write_text(json.dumps(content | {"days": days, "today": today}) + "\n")

    drift(file).close()

    days[0] |= {"condition": None}
    today |= {"n_scored": 0, "rarity": 0.0}
    assert json.loads(file.read_text()) == content | {"days": days, "today": today}


def test_the_file_is_written_every_quarter_of_an_hour_at_most(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "daily.json"
    machine = Machine(drift(file, clock=lambda: now[0]))
    written = 0

    for _ in range(120):
        now[0] += 60.0
        machine.run(1 / 60)
        if file.exists():
            written += 1
            file.unlink()

    assert written == 8


def test_the_file_stays_small_over_a_year(tmp_path: Path) -> None:
    file = tmp_path / "daily.json"
    machine = Machine(drift(file, min_hours=0.01))

    for day in range(365):
        machine.start = START + timedelta(days=day)
        machine.minutes = 0
        machine.run(0.1)
    machine.run(20)
    machine.drift.close()

    assert file.stat().st_size < 64_000
    assert len(json.loads(file.read_text())["days"]) == 90
