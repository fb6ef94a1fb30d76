"""What came against what was promised: said once when it is clear, and seldom by mistake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from device.reports import PROMISE, THRESHOLD

from edge_asd.drift.book import EnrolmentBook
from edge_asd.drift.evidence import LEVEL, N_STAKES, alarms_capital, share_bets

START = datetime(2026, 11, 20, tzinfo=UTC)
WINDOW_S = 10.0


class Kept:
    """A book that windows of ten seconds are written into."""

    def __init__(self) -> None:
        self.book = EnrolmentBook(enrolment="first")
        self.now = START
        self.found: list[str] = []

    def listen(self, hours: float, share: float = 0.0, state: str = "normal") -> None:
        every = round(1 / share) if share else 0
        for number in range(round(hours * 360)):
            self.now += timedelta(seconds=WINDOW_S)
            above = bool(every) and number % every == 0
            self.book.take(self.now, state, WINDOW_S, above=above)
            if number % 60 == 0:
                self.judge()

    def judge(self) -> None:
        self.found += self.book.contradictions(self.now, THRESHOLD, PROMISE)

    def alarm(self) -> str:
        self.book.raised(f"pump-{self.book.n_alarms}", self.now)
        return f"pump-{self.book.n_alarms - 1}"


@pytest.mark.parametrize("share", [0.01, 0.02])
def test_up_to_twice_the_promised_share_is_no_contradiction(share: float) -> None:
    kept = Kept()

    kept.listen(7 * 24, share)

    assert kept.found == []


def test_ten_times_the_promised_share_is_said_within_a_day_and_once() -> None:
    kept = Kept()

    kept.listen(24, 0.1)
    assert kept.found == ["windows"]
    kept.listen(7 * 24, 0.1)

    assert kept.found == ["windows"]


def test_it_is_said_again_when_it_is_far_worse_than_was_said() -> None:
    kept = Kept()

    kept.listen(24, 0.05)
    kept.listen(48, 0.5)

    assert kept.found == ["windows", "windows"]


@pytest.mark.parametrize("state", ["alarm", "acknowledged", "shelved"])
def test_windows_of_an_alarm_or_while_shelved_are_no_evidence(state: str) -> None:
    kept = Kept()

    kept.listen(48, 1.0, state)

    assert kept.found == []
    assert kept.book.windows.above == 48 * 360
    assert kept.book.watched_s == 0


def test_windows_that_led_to_an_alarm_are_no_evidence_and_others_of_a_warning_are() -> None:
    kept = Kept()

    kept.listen(0.5, 1.0, "warning")
    kept.listen(0.01, 1.0, "alarm")
    assert kept.book.unit.n == 0

    kept.listen(0.5, 1.0, "warning")
    kept.listen(0.01)
    assert kept.book.unit.above == 180


def test_five_alarms_in_a_week_that_nobody_answered_contradict_one_a_month() -> None:
    kept = Kept()

    for _ in range(5):
        kept.listen(24)
        kept.alarm()
    kept.listen(48)

    assert kept.found == ["alarms"]


def test_alarms_that_were_acknowledged_within_a_day_are_no_evidence() -> None:
    kept = Kept()

    for _ in range(10):
        kept.book.acknowledged(kept.alarm())
        kept.listen(12)
    kept.listen(48)

    assert kept.found == []
    assert kept.book.n_alarms == 10


def test_an_alarm_that_was_taught_was_false_though_it_was_acknowledged() -> None:
    kept = Kept()
    alarm = kept.alarm()
    kept.book.acknowledged(alarm)

    kept.book.taught([alarm])

    assert kept.book.false_alarms(kept.now, PROMISE) == 1


def test_an_alarm_is_no_evidence_before_somebody_could_answer_it() -> None:
    kept = Kept()
    kept.alarm()

    assert kept.book.false_alarms(kept.now + timedelta(hours=23), PROMISE) == 0
    assert kept.book.false_alarms(kept.now + timedelta(hours=25), PROMISE) == 1


def test_alarms_of_one_disturbance_count_once() -> None:
    kept = Kept()
    for _ in range(20):
        kept.alarm()
        kept.listen(0.2)

    assert kept.book.false_alarms(kept.now + timedelta(days=2), PROMISE) == 1


def test_in_a_year_the_windows_of_a_kept_promise_are_hardly_ever_said_to_break_it() -> None:
    """Two hundred monitors, in units of three hours; half of the variance stays as long."""
    rng = np.random.default_rng(0)
    n, stays = 200, np.exp(-1 / 3)  # three hours
    edge = 2.3263  # one percent of a standard normal distribution
    slow, capital = rng.standard_normal(n), np.zeros((n, N_STAKES))
    said = np.zeros(n, bool)
    shares = np.zeros((3, n))
    for hour in range(365 * 24):
        slow = stays * slow + np.sqrt(1 - stays**2) * rng.standard_normal(n)
        # Sixty independent looks in an hour, each at the slow part and one of its own.
        own = rng.standard_normal((60, n))
        shares[hour % 3] = ((slow + own) / np.sqrt(2) > edge).mean(axis=0)
        if hour % 3 == 2:
            capital = share_bets(capital, shares.mean(axis=0), 2 * 0.01)
            said |= np.exp(capital).mean(axis=-1) >= 1 / LEVEL

    assert said.mean() <= 2 * LEVEL


def test_in_a_year_the_alarms_of_a_kept_promise_are_hardly_ever_said_to_break_it() -> None:
    rng = np.random.default_rng(1)
    alarms = rng.poisson(2.0 / 720, size=(2000, 365 * 24)).cumsum(axis=1)  # twice one a month
    expected = 2.0 / 720 * np.arange(1, 365 * 24 + 1)

    # Looked at whenever there is a new alarm, and every day.
    said = np.zeros(len(alarms), bool)
    for hour in range(0, 365 * 24, 24):
        said |= alarms_capital(alarms[:, hour], np.full(len(alarms), expected[hour])) >= 1 / LEVEL

    assert said.mean() <= LEVEL


def test_a_book_survives_being_written_and_read() -> None:
    kept = Kept()
    kept.listen(30, 0.01)
    kept.alarm()

    again = EnrolmentBook.model_validate_json(kept.book.model_dump_json())

    assert again == kept.book
