"""Events reach an output at its own pace: in order, once each, and at nobody else's cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from device.made_events import SCORE
from device.reports import a_notice
from device.small_disk import fill, small_disk
from device.waiting import wait_until

from edge_asd.errors import EventRefusedError, OutputError
from edge_asd.events.event import Event
from edge_asd.events.fault import FaultChange
from edge_asd.outputs.delivery import Backoff, Delivery
from edge_asd.outputs.output_health import OutputHealth
from edge_asd.outputs.spool import Spool


class Mailbox:
    """The other side: it takes events, or does what the test says."""

    name = "mailbox"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.attempts = 0
        self.away = False
        self.refuses: set[str] = set()
        self.open = threading.Event()  # while it is not set, send does not return
        self.open.set()
        self.closed = False

    def send(self, event: Event) -> None:
        self.attempts += 1
        assert self.open.wait(600)
        if self.away:
            raise OutputError("nobody at home")
        if event.id in self.refuses:
            raise EventRefusedError("not for me")
        self.taken.append(event.id)

    def close(self) -> None:
        self.closed = True


@contextmanager
def delivery(
    mailbox: Mailbox, news: list[FaultChange] | None = None, **options: Any
) -> Iterator[Delivery]:
    """Deliver with short pauses; close quickly."""
    settings: dict[str, Any] = {"spool": None, "backoff": Backoff(0.005, 0.02)} | options
    output = Delivery(mailbox, report=(news if news is not None else []).append, **settings)
    try:
        yield output
    finally:
        mailbox.open.set()
        output.close(1.0)


def ignore(change: FaultChange) -> None:
    """Somebody else reads the faults."""


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]


def test_events_arrive_in_the_order_in_which_they_happened() -> None:
    mailbox = Mailbox()
    mailbox.open.clear()
    with delivery(mailbox) as output:
        for event in (a_notice(1), SCORE, a_notice(2), SCORE):
            output.emit(event)
        mailbox.open.set()
        wait_until(lambda: len(mailbox.taken) == 4)

    assert mailbox.taken == [*ids(1), SCORE.id, *ids(2), SCORE.id]
    assert output.counters() == {"sent": 4, "dropped": 0, "lost": 0, "waiting": 0}


def test_after_a_failure_durable_events_overtake_the_others() -> None:
    mailbox = Mailbox()
    mailbox.away = True
    with delivery(mailbox) as output:
        for event in (SCORE, a_notice(1), SCORE, a_notice(2)):
            output.emit(event)
        wait_until(lambda: mailbox.attempts > 3)
        mailbox.away = False
        wait_until(lambda: len(mailbox.taken) == 4)

    assert mailbox.taken == [*ids(1, 2), SCORE.id, SCORE.id]


def test_an_event_that_is_emitted_twice_is_delivered_once() -> None:
    mailbox = Mailbox()
    with delivery(mailbox) as output:
        output.emit(a_notice(1))
        output.emit(a_notice(1))
        wait_until(lambda: mailbox.taken)
        output.emit(a_notice(1))
        output.emit(a_notice(2))
        wait_until(lambda: len(mailbox.taken) > 1)

    assert mailbox.taken == ids(1, 2)


def test_an_output_hears_only_what_it_accepts() -> None:
    mailbox = Mailbox()
    with delivery(mailbox, accepts=lambda event: event.durable) as output:
        output.emit(SCORE)
        output.emit(a_notice(1))
        wait_until(lambda: mailbox.taken)

    assert mailbox.taken == ids(1)
    assert output.counters()["dropped"] == 0


def test_emit_does_not_wait_for_an_output_that_hangs(tmp_path: Path) -> None:
    mailbox = Mailbox()
    mailbox.open.clear()
    with delivery(mailbox, spool=tmp_path / "mailbox.jsonl", capacity=100) as output:
        output.emit(SCORE)
        wait_until(lambda: mailbox.attempts == 1)
        begin_s = time.monotonic()
        for number in range(1000):
            output.emit(a_notice(number) if number % 50 == 0 else SCORE)
        took_s = time.monotonic() - begin_s

        assert took_s < 60
        assert output.counters() == {"sent": 0, "dropped": 880, "lost": 0, "waiting": 20}


def test_the_oldest_scores_are_dropped_and_counted_when_too_many_wait() -> None:
    mailbox = Mailbox()
    mailbox.open.clear()
    with delivery(mailbox, capacity=3) as output:
        output.emit(a_notice(0))
        wait_until(lambda: mailbox.attempts == 1)
        for _ in range(10):
            output.emit(SCORE)
        mailbox.open.set()
        wait_until(lambda: len(mailbox.taken) == 4)

    assert output.counters() == {"sent": 4, "dropped": 7, "lost": 0, "waiting": 0}


def test_close_returns_in_time_while_the_output_hangs_and_events_stay_on_disk(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "mailbox.jsonl"
    hanging = Mailbox()
    hanging.open.clear()
    output = Delivery(hanging, report=ignore, spool=journal)
    output.emit(a_notice(1))
    output.emit(a_notice(2))
    wait_until(lambda: hanging.attempts == 1)

    begin_s = time.monotonic()
    output.close(0.1)
    took_s = time.monotonic() - begin_s

    assert took_s < 60
    assert output.counters()["waiting"] == 2
    later = Mailbox()
    with delivery(later, spool=journal):
        wait_until(lambda: len(later.taken) == 2)
        hanging.open.set()  # what returns too late touches nothing
        wait_until(lambda: hanging.closed)
    assert later.taken == ids(1, 2)


def test_close_delivers_what_waits() -> None:
    mailbox = Mailbox()
    mailbox.open.clear()
    output = Delivery(mailbox, report=ignore, spool=None)
    for event in (a_notice(1), SCORE, a_notice(2)):
        output.emit(event)
    mailbox.open.set()

    output.close(5.0)

    assert mailbox.taken == [*ids(1), SCORE.id, *ids(2)]
    assert mailbox.closed


def test_close_tries_once_more_before_it_leaves_events_to_the_next_start(tmp_path: Path) -> None:
    journal = tmp_path / "mailbox.jsonl"
    mailbox = Mailbox()
    mailbox.away = True
    output = Delivery(mailbox, report=ignore, spool=journal, backoff=Backoff(60.0))
    output.emit(a_notice(1))
    wait_until(lambda: mailbox.attempts == 1)

    output.close(5.0)

    assert mailbox.attempts == 2
    assert mailbox.closed
    assert output.counters()["waiting"] == 1


def test_after_a_restart_undelivered_events_come_first(tmp_path: Path) -> None:
    journal = tmp_path / "mailbox.jsonl"
    away = Mailbox()
    away.away = True
    with delivery(away, spool=journal) as output:
        output.emit(a_notice(1))
        output.emit(a_notice(2))
    back = Mailbox()
    back.open.clear()
    with delivery(back, spool=journal) as output:
        assert output.counters()["waiting"] == 2
        output.emit(SCORE)
        output.emit(a_notice(3))
        back.open.set()
        wait_until(lambda: len(back.taken) == 4)

    assert back.taken == [*ids(1, 2), SCORE.id, *ids(3)]
    assert journal.stat().st_size == 0


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


def test_an_event_that_breaks_the_program_does_not_end_the_output(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(Mailbox):
        def send(self, event: Event) -> None:
            if event.id == a_notice(1).id:
                raise ZeroDivisionError
            super().send(event)

    mailbox = Clumsy()
    with delivery(mailbox) as output:
        output.emit(a_notice(1))
        output.emit(a_notice(2))
        wait_until(lambda: mailbox.taken)

    assert mailbox.taken == ids(2)
    assert output.counters()["lost"] == 1
    assert "ZeroDivisionError" in caplog.text


def test_more_than_the_spool_may_hold_is_a_fault_and_never_silent(tmp_path: Path) -> None:
    mailbox, news = Mailbox(), list[FaultChange]()
    mailbox.open.clear()
    room = 3 * (len(a_notice(100).to_json()) + 1)
    spool = tmp_path / "mailbox.jsonl"
    with delivery(mailbox, news, spool=spool, max_spool_bytes=room) as output:
        for number in range(100, 105):
            output.emit(a_notice(number))

        assert output.counters()["lost"] == 2
        assert [(change.key, change.figures) for change in news] == [
            ("events_lost:mailbox", {"lost": 1}),
            ("events_lost:mailbox", {"lost": 2}),
        ]


def test_a_full_disk_is_a_fault_while_events_are_still_delivered(tmp_path: Path) -> None:
    mailbox, news = Mailbox(), list[FaultChange]()
    mailbox.away = True
    with small_disk(tmp_path) as disk:
        with delivery(mailbox, news, spool=disk / "mailbox.jsonl") as output:
            filler = fill(disk)
            for number in range(40):
                output.emit(a_notice(number))
            assert [change.key for change in news] == ["disk:mailbox"]
            assert "No space left on device" in news[0].detail

            mailbox.away = False
            wait_until(lambda: len(mailbox.taken) == 40)
            filler.unlink()

        assert mailbox.taken == ids(*range(40))
        assert [(change.key, change.active) for change in news[1:]] == [("disk:mailbox", False)]


def test_a_journal_that_cannot_be_written_is_not_tried_again_with_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[None] = []
    looks: list[None] = []
    monkeypatch.setattr(Spool, "save", lambda _: attempts.append(None))

    def clock() -> float:
        looks.append(None)
        return 0.0

    (tmp_path / "file").touch()
    mailbox = Mailbox()
    mailbox.away = True
    with delivery(mailbox, spool=tmp_path / "file" / "mailbox.jsonl", clock=clock) as output:
        output.emit(a_notice(1))
        wait_until(lambda: mailbox.attempts)
        for _ in range(20):
            before = len(looks)
            output.emit(SCORE)  # looks at the clock, and so does the thread that it wakes
            wait_until(partial(_looked_since, looks, before))

        assert len(attempts) <= 2


def _looked_since(looks: list[None], before: int) -> bool:
    return len(looks) > before + 1


def test_what_a_server_asks_for_is_waited_for_but_not_for_ever() -> None:
    class Busy(Mailbox):
        def send(self, event: Event) -> None:
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


def test_pauses_double_up_to_the_cap_and_begin_anew() -> None:
    backoff = Backoff(1.0, 60.0)

    pauses = [backoff.next_s(0.0) for _ in range(8)]
    backoff.reset()

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.next_s(0.0) == 1


def test_chance_takes_away_up_to_half_of_a_pause() -> None:
    backoff = Backoff(8.0, 8.0)

    assert [backoff.next_s(jitter) for jitter in (0.0, 0.5, 1.0)] == [8.0, 6.0, 4.0]


def test_years_of_failure_do_not_overflow_the_pause() -> None:
    backoff = Backoff()

    assert {backoff.next_s(0.0) for _ in range(5000)} == {1, 2, 4, 8, 16, 32, 60}


def test_an_output_is_overdue_once_after_its_patience() -> None:
    health = OutputHealth("mqtt", patience_s=30.0)
    health.trying(100.0)
    health.failed("connection refused")

    assert health.overdue(129.9) == []
    assert [change.detail for change in health.overdue(130.0)] == ["connection refused"]
    assert health.overdue(200.0) == []


def test_an_output_with_nothing_to_do_is_never_overdue() -> None:
    health = OutputHealth("mqtt", patience_s=30.0)
    health.trying(0.0)
    health.delivered(durable=False, waiting=0)

    assert health.overdue(1e6) == []


def test_the_fault_of_an_output_ends_only_when_nothing_waits_any_more() -> None:
    health = OutputHealth("mqtt", patience_s=30.0)
    health.trying(0.0)
    health.overdue(30.0)

    assert health.delivered(durable=True, waiting=1) == []
    (over,) = health.delivered(durable=True, waiting=0)

    assert not over.active
    assert over.figures == {"delivered_late": 2}
