"""Events are on disk before outputs hear them, and no disk keeps the monitor waiting."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from device.made_events import SCORE
from device.mailbox import Mailbox, ids, ignore
from device.reports import a_notice
from device.small_disk import fill, small_disk
from device.waiting import wait_until

from edge_asd.events.fault import FaultChange
from edge_asd.outputs.delivery import Delivery
from edge_asd.outputs.journal import Content, Journal, Waiting
from edge_asd.outputs.outbox import Outbox


class Disk(Journal):
    """A journal whose disk does what the test says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answers = threading.Event()  # while it is not set, nothing is written
        self.answers.set()
        self.asked = threading.Event()  # to write something
        self.broken: Exception | None = None
        self.failures = 0  # this many attempts to read fail
        self.writes: list[list[str]] = []  # ids of what was written at once

    def load(self, *, give_up: bool = False) -> Content:
        assert self.answers.wait(600)
        if self.failures > 0 and not give_up:
            self.failures -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error
        return super().load(give_up=give_up)

    def write(
        self,
        events: Iterable[Waiting],
        gone: Iterable[str],
        memory: Mapping[str, bytes],
        *,
        with_room: bool = False,
    ) -> None:
        self.asked.set()
        assert self.answers.wait(600)
        if self.broken is not None:
            raise self.broken
        events = list(events)
        super().write(events, gone, memory, with_room=with_room)
        self.writes.append([envelope.id for envelope, _ in events])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "journal.sqlite3")
    yield disk
    disk.answers.set()


def an_outbox(disk: Disk, news: list[FaultChange] | None = None, **options: float) -> Outbox:
    report = (news if news is not None else []).append
    return Outbox(disk.path, report, journal=lambda _: disk, **options)  # type: ignore[arg-type]


def an_output(outbox: Outbox, mailbox: Mailbox, *, keeps: bool = True) -> Delivery:
    return Delivery(
        mailbox, report=ignore, outbox=outbox, keeps=keeps, pause_s=0.005, max_pause_s=0.02
    )


def on_disk(path: Path) -> Content:
    with closing(Journal(path)) as journal:
        return journal.load()


def test_no_output_hears_an_event_before_it_is_on_disk(disk: Disk) -> None:
    keeps, hears = Mailbox(), Mailbox()
    with (
        closing(an_outbox(disk, patience_s=600.0)) as outbox,
        closing(an_output(outbox, keeps)) as output,
        closing(an_output(outbox, hears, keeps=False)) as other,
    ):
        disk.answers.clear()
        with outbox.together([a_notice(1)]):
            for delivery in (other, output):
                delivery.emit(a_notice(1))
                delivery.emit(SCORE)
        time.sleep(0.05)
        assert keeps.taken == hears.taken == []

        disk.answers.set()
        wait_until(lambda: len(keeps.taken) == len(hears.taken) == 2)

    assert keeps.taken == hears.taken == [*ids(1), SCORE.id]


def test_what_belongs_together_is_written_at_once(disk: Disk) -> None:
    with closing(an_outbox(disk)) as outbox:
        with outbox.together([a_notice(1), a_notice(2)], {"alarm": b"on"}):
            outbox.keep("webhook", a_notice(1))
            time.sleep(0.02)
            outbox.keep("webhook", a_notice(2))
        wait_until(lambda: disk.writes)

    assert disk.writes == [ids(1, 2)]
    assert on_disk(disk.path).memory == {"alarm": b"on"}


def test_a_disk_that_does_not_answer_delays_no_event_longer_than_its_patience(disk: Disk) -> None:
    mailbox = Mailbox()
    outbox = an_outbox(disk, patience_s=0.05)
    output = an_output(outbox, mailbox)
    disk.answers.clear()
    output.emit(a_notice(1))
    wait_until(lambda: mailbox.taken)
    begin_s = time.monotonic()
    output.emit(a_notice(2))
    wait_until(lambda: len(mailbox.taken) == 2)
    assert mailbox.taken == ids(1, 2)
    assert time.monotonic() - begin_s < 60

    disk.answers.set()
    output.close()
    outbox.close()

    assert on_disk(disk.path).events == []


def test_an_event_that_was_heard_from_memory_is_made_durable_later(disk: Disk) -> None:
    gone = Mailbox()
    gone.away = True
    with closing(an_outbox(disk, patience_s=0.01)) as outbox:
        disk.answers.clear()
        with closing(an_output(outbox, gone)) as output:
            output.emit(a_notice(1))
            wait_until(lambda: gone.attempts)
        disk.answers.set()

    assert [envelope.id for envelope, _ in on_disk(disk.path).events] == ids(1)


def test_nothing_that_hands_over_waits_for_a_disk_that_hangs(disk: Disk) -> None:
    outbox = an_outbox(disk)
    disk.answers.clear()
    begin_s = time.monotonic()
    for number in range(200):
        with outbox.together([a_notice(number)], {"alarm": b"on"}):
            outbox.keep("webhook", a_notice(number))
        outbox.done("webhook", a_notice(number).id)
    outbox.close(0.05)

    assert time.monotonic() - begin_s < 60


def test_what_is_settled_is_on_disk(disk: Disk) -> None:
    with closing(an_outbox(disk, patience_s=0.05)) as outbox:
        assert outbox.settled()
        disk.answers.clear()
        with outbox.together(memory={"alarm": b"on"}):
            pass
        assert not outbox.settled()

        disk.answers.set()
        wait_until(outbox.settled)


def test_an_error_that_passes_lets_no_output_hear_an_event_too_early(disk: Disk) -> None:
    with closing(an_outbox(disk, patience_s=600.0)) as outbox:
        disk.broken = OSError(5, "Input/output error")
        outbox.keep("webhook", a_notice(1))
        wait_until(lambda: outbox.problem)
        assert outbox.hold_s(a_notice(1).id) > 0.0

        disk.broken = None
        wait_until(lambda: outbox.hold_s(a_notice(1).id) == 0.0)

    assert disk.writes == [ids(1)]


def test_a_disk_that_fails_is_told_and_everything_is_written_when_it_works_again(
    disk: Disk,
) -> None:
    with closing(an_outbox(disk, patience_s=0.05)) as outbox:
        disk.broken = OSError(5, "Input/output error")
        outbox.keep("webhook", a_notice(1))
        wait_until(lambda: outbox.problem)
        assert outbox.problem is not None
        assert "Input/output error" in outbox.problem
        wait_until(lambda: outbox.hold_s(a_notice(1).id) == 0.0)
        with outbox.together([a_notice(2)], {"alarm": b"on"}):
            outbox.keep("webhook", a_notice(2))

        disk.broken = None
        wait_until(lambda: outbox.problem is None)

    content = on_disk(disk.path)
    assert [envelope.id for envelope, _ in content.events] == ids(1, 2)
    assert content.memory == {"alarm": b"on"}


def test_a_disk_that_hangs_is_a_problem_until_it_answers(disk: Disk) -> None:
    now_s = [0.0]
    outbox = Outbox(disk.path, ignore, journal=lambda _: disk, clock=lambda: now_s[0])
    disk.answers.clear()
    outbox.keep("webhook", a_notice(1))
    wait_until(disk.asked.is_set)
    assert outbox.hold_s(a_notice(1).id) == 2.0
    now_s[0] = 2.0
    assert outbox.hold_s(a_notice(1).id) == 0.0
    assert outbox.problem is None
    now_s[0] = 9.0
    outbox.keep("webhook", a_notice(2))

    assert "the disk hangs" in (outbox.problem or "")
    assert outbox.hold_s(a_notice(2).id) == 0.0
    disk.answers.set()
    wait_until(lambda: outbox.problem is None)
    outbox.close()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    mailbox = Mailbox()
    mailbox.away = True
    with small_disk(tmp_path, size_kib=256) as disk:
        path = disk / "journal.sqlite3"
        with (
            closing(Outbox(path, ignore, patience_s=0.05)) as outbox,
            closing(an_output(outbox, mailbox)) as output,
        ):
            filler = fill(disk)
            for number in range(40):
                output.emit(a_notice(number))
            wait_until(lambda: outbox.problem)
            assert "full" in (outbox.problem or "")

            mailbox.away = False
            wait_until(lambda: len(mailbox.taken) == 40)
            filler.unlink()
            wait_until(lambda: outbox.problem is None)

        assert mailbox.taken == ids(*range(40))
        assert on_disk(path).events == []


def test_one_read_error_at_the_start_costs_nothing(disk: Disk) -> None:
    with closing(an_outbox(disk)) as outbox, outbox.together(memory={"alarm": b"on"}):
        for number in range(5):
            outbox.keep("webhook", a_notice(number))
    news: list[FaultChange] = []
    disk.failures = 1

    with closing(an_outbox(disk, news)) as outbox:
        assert [envelope.id for envelope in outbox.stored("webhook")] == ids(*range(5))
        assert outbox.memory("alarm") == b"on"
    assert news == []


def test_a_file_that_cannot_be_read_is_kept_and_what_is_missing_is_a_fault(disk: Disk) -> None:
    with closing(an_outbox(disk)) as outbox:
        for number in range(5):
            outbox.keep("webhook", a_notice(number))
    content = b"no database here" + disk.path.read_bytes()[16:]
    disk.path.write_bytes(content)
    news: list[FaultChange] = []

    with closing(an_outbox(disk, news)) as outbox:
        assert outbox.stored("webhook") == []
        outbox.keep("webhook", a_notice(9))

    (change,) = news
    assert (change.key, change.active, change.figures) == ("events_lost:journal", True, {"lost": 5})
    assert (
        "at least 5 events of before the start and the state of the alarm may be missing"
        in change.detail
    )
    assert disk.path.with_suffix(".damaged").read_bytes() == content
    assert [envelope.id for envelope, _ in on_disk(disk.path).events] == ids(9)


def test_what_could_not_be_read_at_the_start_is_delivered_when_it_can(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_asd.outputs.outbox._RETRIES_S", (0.01, 0.01, 0.1))
    with closing(an_outbox(disk)) as outbox, outbox.together(memory={"alarm": b"old"}):
        outbox.keep("mailbox", a_notice(1))
    mailbox = Mailbox()
    disk.failures = 3

    with closing(an_outbox(disk)) as outbox:
        assert "cannot read" in (outbox.problem or "")
        assert outbox.memory("alarm") is None
        with closing(an_output(outbox, mailbox)) as output:
            with outbox.together([a_notice(2)], {"alarm": b"new"}):
                output.emit(a_notice(2))
            wait_until(lambda: len(mailbox.taken) == 2)
        assert outbox.late_memory("alarm") == b"old"
        assert outbox.late_memory("alarm") is None

    assert sorted(mailbox.taken) == ids(1, 2)
    assert on_disk(disk.path) == Content(memory={"alarm": b"new"})


def test_a_file_that_is_damaged_while_it_is_used_costs_nothing(disk: Disk) -> None:
    with closing(an_outbox(disk)) as outbox:
        outbox.keep("webhook", a_notice(1))
        wait_until(lambda: disk.writes)
        disk.broken = sqlite3.DatabaseError("database disk image is malformed")
        outbox.keep("webhook", a_notice(2))

    assert [envelope.id for envelope, _ in on_disk(disk.path).events] == ids(1, 2)
    assert disk.path.with_suffix(".damaged").exists()


def test_a_file_that_was_removed_is_written_again_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "pump" / "journal.sqlite3"
    with closing(Outbox(path, ignore)) as outbox:
        with outbox.together([], {"alarm": b"on"}):
            outbox.keep("webhook", a_notice(1))
        wait_until(lambda: not outbox.hold_s(a_notice(1).id))
        shutil.rmtree(path.parent)
        outbox.keep("webhook", a_notice(2))

    content = on_disk(path)
    assert [envelope.id for envelope, _ in content.events] == ids(1, 2)
    assert content.memory == {"alarm": b"on"}


def test_an_event_is_out_of_the_file_once_every_output_has_it(disk: Disk) -> None:
    with closing(an_outbox(disk)) as outbox, outbox.together():
        for output in ("mqtt", "webhook"):
            outbox.keep(output, a_notice(1))
    with closing(an_outbox(disk)) as outbox:
        outbox.done("mqtt", a_notice(1).id)
    (waiting,) = on_disk(disk.path).events
    assert waiting[1] == {"webhook"}

    with closing(an_outbox(disk)) as outbox:
        outbox.done("webhook", a_notice(1).id)
    assert on_disk(disk.path).events == []


def test_without_a_path_nothing_is_kept_and_nothing_fails() -> None:
    outbox = Outbox(None, ignore)
    with outbox.together([a_notice(1)], {"alarm": b"on"}):
        outbox.keep("webhook", a_notice(1))
    outbox.done("webhook", a_notice(1).id)
    outbox.close()

    assert (outbox.problem, outbox.stored("webhook"), outbox.memory("alarm")) == (None, [], None)
