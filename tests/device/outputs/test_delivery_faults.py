"""What a delivery reports of its output, and what it does when the output fails."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest
from device.made_events import SCORE
from device.mailbox import Mailbox, delivery, ids
from device.reports import a_notice
from device.waiting import wait_until

from edge_asd.errors import OutputError
from edge_asd.events.fault import FaultChange
from edge_asd.outputs import Envelope


def test_an_outage_is_one_fault_that_ends_with_the_number_of_late_events() -> None:
    mailbox, news = Mailbox(), list[FaultChange]()
    mailbox.away = True
    with delivery(mailbox, news, patience_s=0.03) as output:
        for number in range(3):
            output.emit(a_notice(number))
        wait_until(lambda: news)
        seen = mailbox.attempts
        wait_until(lambda: mailbox.attempts > seen + 5)
        mailbox.away = False
        wait_until(lambda: len(news) > 1)

    assert mailbox.taken == ids(0, 1, 2)
    assert [(change.key, change.active) for change in news] == [
        ("output:mailbox", True),
        ("output:mailbox", False),
    ]
    assert news[0].detail == "nobody at home"
    assert news[1].figures == {"delivered_late": 3}


def test_a_hanging_output_is_a_fault_too() -> None:
    mailbox, news = Mailbox(), list[FaultChange]()
    mailbox.open.clear()
    with delivery(mailbox, news, patience_s=0.02) as output:
        output.emit(SCORE)
        wait_until(lambda: mailbox.attempts)

        def told() -> bool:
            output.emit(SCORE)  # as the monitor does with every window
            return bool(news)

        wait_until(told)
        assert [(change.key, change.detail) for change in news] == [
            ("output:mailbox", "it does not answer")
        ]


def test_a_refused_event_is_given_up_reported_and_the_next_goes_on() -> None:
    mailbox, news = Mailbox(), list[FaultChange]()
    mailbox.refuses.update(ids(1))
    with delivery(mailbox, news, attempts=3) as output:
        output.emit(a_notice(1))
        wait_until(lambda: news)
        assert mailbox.attempts == 3
        output.emit(a_notice(2))
        wait_until(lambda: len(news) > 1)

    assert mailbox.taken == ids(2)
    assert output.counters() == {"sent": 1, "dropped": 1, "lost": 1, "waiting": 0}
    assert [(change.key, change.active) for change in news] == [
        ("events_lost:mailbox", True),
        ("events_lost:mailbox", False),
    ]
    assert "not for me" in news[0].detail
    assert news[1].figures == {"lost": 1}


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit])
def test_an_event_that_breaks_the_program_does_not_end_the_output(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    class Clumsy(Mailbox):
        def send(self, envelope: Envelope) -> None:
            if envelope.id == a_notice(1).id:
                raise error
            super().send(envelope)

    mailbox = Clumsy()
    with delivery(mailbox) as output:
        output.emit(a_notice(1))
        output.emit(a_notice(2))
        wait_until(lambda: mailbox.taken)

    assert mailbox.taken == ids(2)
    assert output.counters()["lost"] == 1
    assert error.__name__ in caplog.text


def test_more_than_may_wait_is_a_fault_and_never_silent(tmp_path: Path) -> None:
    mailbox, news = Mailbox(), list[FaultChange]()
    mailbox.open.clear()
    room = 3 * len(a_notice(100).to_json())
    journal = tmp_path / "mailbox.sqlite3"
    with delivery(mailbox, news, journal=journal, max_durable_bytes=room) as output:
        for number in range(100, 105):
            output.emit(a_notice(number))

        assert output.counters()["lost"] == 2
        assert [(change.key, change.figures) for change in news] == [
            ("events_lost:mailbox", {"lost": 1}),
            ("events_lost:mailbox", {"lost": 2}),
        ]


def test_the_newest_events_are_kept_beyond_the_cap_also_over_a_restart(tmp_path: Path) -> None:
    away = Mailbox()
    away.away = True
    journal = tmp_path / "mailbox.sqlite3"
    with delivery(away, journal=journal, max_durable_bytes=10) as output:
        output.emit(a_notice(1))  # larger than the cap
        assert output.counters()["waiting"] == 1
        output.emit(a_notice(2))
    back = Mailbox()
    with delivery(back, journal=journal):
        wait_until(lambda: back.taken)

    assert back.taken == ids(2)


def test_what_a_server_asks_for_is_waited_for_but_not_for_ever() -> None:
    class Busy(Mailbox):
        def send(self, envelope: Envelope) -> None:
            self.attempts += 1
            raise OutputError("busy", retry_after_s=1e9)

    now_s = [0.0]
    mailbox = Busy()
    with delivery(mailbox, clock=lambda: now_s[0]) as output:
        output.emit(a_notice(1))
        wait_until(lambda: mailbox.attempts == 1)
        now_s[0] = 299.0
        output.emit(SCORE)  # wakes the thread
        time.sleep(0.05)
        assert mailbox.attempts == 1
        now_s[0] = 301.0
        output.emit(SCORE)
        wait_until(lambda: mailbox.attempts == 2)


def test_after_a_delivery_the_pauses_begin_anew() -> None:
    now_s = [0.0]
    mailbox = Mailbox()
    mailbox.away = True
    with delivery(mailbox, clock=lambda: now_s[0], pause_s=1.0, max_pause_s=60.0) as output:
        output.emit(a_notice(1))
        for n_attempts, wake_at_s in ((1, 1.0), (2, 3.0), (3, 7.0)):
            wait_until(partial(_has_tried, mailbox, n_attempts))
            mailbox.away = n_attempts < 3
            now_s[0] = wake_at_s
            output.emit(SCORE)  # wakes the thread
        wait_until(lambda: len(mailbox.taken) == 4)

        mailbox.away = True
        output.emit(a_notice(2))
        wait_until(lambda: mailbox.attempts == 8)
        now_s[0] = 8.0
        output.emit(SCORE)
        wait_until(lambda: mailbox.attempts == 9)


def _has_tried(mailbox: Mailbox, n_attempts: int) -> bool:
    return mailbox.attempts >= n_attempts
