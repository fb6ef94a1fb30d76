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
from edge_asd.events.fault import FaultChange
from edge_asd.outputs.delivery import Backoff, Delivery
from edge_asd.outputs.envelope import Envelope
from edge_asd.outputs.journal import Journal
from edge_asd.outputs.output_health import OutputHealth


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

    def send(self, envelope: Envelope) -> None:
        self.attempts += 1
        assert self.open.wait(600)
        if self.away:
            raise OutputError("nobody at home")
        if envelope.id in self.refuses:
            raise EventRefusedError("not for me")
        self.taken.append(envelope.id)

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


def test_what_the_lock_guards_is_changed_under_the_lock_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unguarded: list[str] = []

    class Watched(Delivery):
        def __setattr__(self, name: str, value: object) -> None:
            if "_thread" in vars(self) and not self._changed._is_owned():  # type: ignore[attr-defined]
                unguarded.append(name)
            super().__setattr__(name, value)

    def broken(*arguments: object) -> None:
        monkeypatch.setattr(OutputHealth, "trying", lambda *_: None)
        raise ZeroDivisionError

    monkeypatch.setattr(OutputHealth, "trying", broken)
    monkeypatch.setattr("edge_asd.outputs.delivery._AFTER_ERROR_S", 0.01)
    mailbox = Mailbox()
    mailbox.away = True
    mailbox.refuses.update(ids(1))
    output = Watched(
        mailbox,
        report=ignore,
        spool=tmp_path / "mailbox.sqlite3",
        backoff=Backoff(0.005, 0.02),
    )
    for event in (SCORE, a_notice(1), a_notice(2)):
        output.emit(event)
    wait_until(lambda: mailbox.attempts > 2)
    mailbox.away = False
    wait_until(lambda: mailbox.taken)
    output.close()

    assert mailbox.taken[0] == a_notice(2).id
    assert unguarded == []


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


def test_an_event_that_is_emitted_again_while_it_waits_is_delivered_once() -> None:
    mailbox = Mailbox()
    mailbox.open.clear()
    with delivery(mailbox) as output:
        for number in (1, 1, 2):
            output.emit(a_notice(number))
        mailbox.open.set()
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
    with delivery(mailbox, spool=tmp_path / "mailbox.sqlite3", capacity=100) as output:
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
    journal = tmp_path / "mailbox.sqlite3"
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
    journal = tmp_path / "mailbox.sqlite3"
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
    journal = tmp_path / "mailbox.sqlite3"
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
    assert output.counters()["waiting"] == 0


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
        def send(self, envelope: Envelope) -> None:
            if envelope.id == a_notice(1).id:
                raise ZeroDivisionError
            super().send(envelope)

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
    room = 3 * len(a_notice(100).to_json())
    spool = tmp_path / "mailbox.sqlite3"
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
    with small_disk(tmp_path, size_kib=256) as disk:
        with delivery(mailbox, news, spool=disk / "mailbox.sqlite3") as output:
            filler = fill(disk)
            for number in range(40):
                output.emit(a_notice(number))
            assert [change.key for change in news] == ["disk:mailbox"]
            assert "database or disk is full" in news[0].detail

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
    monkeypatch.setattr(Journal, "mend", lambda _: attempts.append(None))

    def clock() -> float:
        looks.append(None)
        return 0.0

    (tmp_path / "file").touch()
    mailbox = Mailbox()
    mailbox.away = True
    with delivery(mailbox, spool=tmp_path / "file" / "mailbox.sqlite3", clock=clock) as output:
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
