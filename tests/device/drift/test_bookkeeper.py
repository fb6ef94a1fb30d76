"""The book and the condition index in the status, through restarts, and the notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from device.reports import PROMISE as ESTIMATED
from device.reports import START, THRESHOLD, a_status

from edge_asd.drift.bookkeeper import Bookkeeper, Enrolment
from edge_asd.drift.condition_index import NormalTail
from edge_asd.events.event import AlarmAcknowledgedEvent, Event, NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.events.status import StatusBoard
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.stream import ScoredWindow
from edge_asd.state.atomic import write_atomically

RATE_HZ = 100
WINDOW_S = 10.0
SILENCE = np.zeros((2, 1000), np.float32)
PROMISE = ESTIMATED.model_copy(update={"trust": "measured"})
ENROLMENT = Enrolment(
    name="first",
    scored_by="mini v0001",
    threshold=THRESHOLD,
    promise=PROMISE,
    tail=NormalTail(THRESHOLD),
)


class Listening:
    """A monitor that hears a window every ten seconds."""

    def __init__(self, file: Path | None = None, enrolment: Enrolment = ENROLMENT) -> None:
        self.board = StatusBoard(a_status())
        self.keeper = Bookkeeper(
            enrolment,
            self.board,
            file=file,
            write=write_atomically,
            sample_rate_hz=RATE_HZ,
        )
        self.seconds = 0.0
        self.events: list[Event] = []

    def hear(self, hours: float, score: float = 0.0, start: datetime = START) -> None:
        for _ in range(round(hours * 360)):
            self.seconds += WINDOW_S
            at = Moment(start + timedelta(seconds=self.seconds), self.seconds, "pump")
            window = ScoredWindow(0, SILENCE, WindowScore(score, {}), busy_s=0.0)
            self.events += self.keeper.on_window(at, window, "normal")

    @property
    def told(self) -> dict[str, Any]:
        return self.board.status.to_dict(0.0)


def test_the_status_says_what_came_and_what_was_promised() -> None:
    listening = Listening()

    listening.hear(5, 0.0)
    listening.hear(1, 2.0)

    told = listening.told
    assert told["since_enrolment"] == {
        "since": "2026-11-22T08:30:10.000Z",
        "heard_hours": 6.0,
        "windows": 2160,
        "windows_above": 360,
        "share_above": pytest.approx(1 / 6, abs=1e-6),
        "alarms": 0,
        "promised_share": 0.01,
        "alarms_counted": 0,
        "promised_alarms_per_month": 1.0,
        "promised_alarms": pytest.approx(6 / 720, abs=1e-4),
        "kept": True,
    }
    assert told["condition"]["hour"] == 100
    assert 10 < told["condition"]["day"] < 20


def test_a_deaf_monitor_knows_no_condition() -> None:
    listening = Listening()
    listening.hear(5)
    assert listening.told["condition"] == {"hour": 0.0, "day": 0.0}

    listening.board.status = replace(listening.board.status, capture="lost")

    assert listening.told["condition"] == {"hour": None, "day": None}


def test_a_broken_promise_is_one_notice_with_the_figures_and_what_mends_it() -> None:
    listening = Listening()

    listening.hear(48, 2.0)

    (notice,) = listening.events
    assert isinstance(notice, NoticeEvent)
    assert notice.notice == "promise"
    assert notice.text.endswith("enrol again: edge-asd enroll --machine pump")
    assert "promised 1 a month (measured)" in notice.text
    assert notice.figures["share_above"] == 1.0
    assert listening.told["since_enrolment"]["kept"] is False


def test_without_a_promise_it_only_counts() -> None:
    listening = Listening(enrolment=replace(ENROLMENT, promise=None))

    listening.hear(48, 2.0)

    assert listening.events == []
    assert listening.told["since_enrolment"]["windows_above"] == 48 * 360
    assert "kept" not in listening.told["since_enrolment"]


def test_counts_and_condition_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "condition.json"
    first = Listening(file)
    first.hear(12, 2.0)
    first.keeper.close()

    second = Listening(file)
    assert second.told["since_enrolment"] == first.told["since_enrolment"]
    second.hear(0.5, 2.0, START + timedelta(hours=12))

    assert second.told["since_enrolment"]["heard_hours"] == pytest.approx(12.5)
    assert second.told["condition"]["hour"] == 100


def test_a_lesson_goes_on_with_the_book_and_another_enrolment_begins_anew() -> None:
    listening = Listening()
    listening.hear(5, 2.0)

    def learn(enrolment: str, scored_by: str, hours: float = 0.5) -> None:
        spec = SimpleNamespace(threshold=THRESHOLD, promise=PROMISE)
        facts = SimpleNamespace(
            detector=SimpleNamespace(spec=spec),
            enrolment=enrolment,
            scored_by=scored_by,
            normal_tail=ENROLMENT.tail,
            taught=(),
        )
        listening.keeper.on_learned(cast(Any, facts))
        listening.hear(hours)

    learn("first", "mini v0002")
    assert listening.told["since_enrolment"]["heard_hours"] == pytest.approx(5.5)
    assert listening.told["condition"] == {"hour": 0.0, "day": None}

    learn("second", "mini v0003", hours=0.0)
    assert listening.told["since_enrolment"] == {}
    listening.hear(0.5)
    assert listening.told["since_enrolment"]["heard_hours"] == pytest.approx(0.5)


def test_who_answered_an_alarm_is_kept_at_once(tmp_path: Path) -> None:
    file = tmp_path / "condition.json"
    listening = Listening(file)
    at = Moment(datetime(2026, 11, 22, 9, tzinfo=UTC), 1800.0, "pump")

    listening.keeper._accounts.book.raised("pump-1", at.time)
    listening.keeper.on_event(AlarmAcknowledgedEvent(**at.facts(), alarm_id="pump-1", note=""))

    assert '"acknowledged": true' in file.read_text()
