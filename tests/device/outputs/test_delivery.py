"""Events reach an output at its own pace: in order, and at nobody else's cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from device.made_events import SCORE
from device.mailbox import Mailbox, delivery, ids, ignore
from device.reports import a_notice
from device.waiting import wait_until

from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.output_health import OutputHealth


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
        outbox=None,
        pause_s=0.005,
        max_pause_s=0.02,
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
    with delivery(mailbox, journal=tmp_path / "mailbox.sqlite3", capacity=100) as output:
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
    outbox = Outbox(journal, ignore)
    output = Delivery(hanging, report=ignore, outbox=outbox)
    output.emit(a_notice(1))
    output.emit(a_notice(2))
    wait_until(lambda: hanging.attempts == 1)

    begin_s = time.monotonic()
    output.close(0.1)
    took_s = time.monotonic() - begin_s
    outbox.close()

    assert took_s < 60
    assert output.counters()["waiting"] == 2
    later = Mailbox()
    with delivery(later, journal=journal):
        wait_until(lambda: len(later.taken) == 2)
        hanging.open.set()  # what returns too late touches nothing
        wait_until(lambda: hanging.closed)
    assert later.taken == ids(1, 2)


def test_close_delivers_what_waits() -> None:
    mailbox = Mailbox()
    mailbox.open.clear()
    output = Delivery(mailbox, report=ignore, outbox=None)
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
    with delivery(mailbox, journal=journal, pause_s=60.0) as output:
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
    with delivery(away, journal=journal) as output:
        output.emit(a_notice(1))
        output.emit(a_notice(2))
    back = Mailbox()
    back.open.clear()
    with delivery(back, journal=journal) as output:
        assert output.counters()["waiting"] == 2
        output.emit(SCORE)
        output.emit(a_notice(3))
        back.open.set()
        wait_until(lambda: len(back.taken) == 4)

    assert back.taken == [*ids(1, 2), SCORE.id, *ids(3)]
    assert output.counters()["waiting"] == 0
