"""Events that wait survive restarts, power cuts and full disks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from device.reports import a_notice
from device.small_disk import fill, small_disk
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.outputs.spool import Spool


def waiting(spool: Spool) -> list[str]:
    """Take everything out, in order."""
    ids = []
    while event := spool.first():
        ids.append(event.id)
        spool.done(event.id)
    return ids


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "webhook.jsonl"


def test_events_come_out_in_the_order_in_which_they_went_in(journal: Path) -> None:
    spool = Spool(journal)
    for number in (2, 1, 3):
        spool.append(a_notice(number))

    assert len(spool) == 3
    assert waiting(spool) == ids(2, 1, 3)
    assert len(spool) == 0


def test_what_was_not_delivered_waits_for_the_next_start(journal: Path) -> None:
    spool = Spool(journal)
    for number in range(3):
        spool.append(a_notice(number))
    spool.done(a_notice(0).id)

    again = Spool(journal)

    assert waiting(again) == ids(1, 2)
    assert again.given_up == 0


def test_an_event_is_on_disk_when_append_returns(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(journal)
    synced: list[bytes] = []
    fsync = os.fsync

    def recorded(file: int) -> None:
        fsync(file)
        synced.append(journal.read_bytes())

    monkeypatch.setattr(os, "fsync", recorded)

    spool.append(a_notice(1))

    assert a_notice(1).id.encode() in synced[-1]


def test_no_event_is_queued_twice_whether_it_waits_or_was_delivered(journal: Path) -> None:
    spool = Spool(journal)
    assert spool.append(a_notice(1))
    assert not spool.append(a_notice(1))

    assert waiting(spool) == ids(1)

    assert not spool.append(a_notice(1))
    assert waiting(spool) == []


def test_an_id_that_was_delivered_before_a_restart_is_known_afterwards(journal: Path) -> None:
    spool = Spool(journal)
    spool.append(a_notice(1))
    spool.append(a_notice(2))
    spool.done(a_notice(1).id)

    assert not Spool(journal).append(a_notice(1))


def test_the_journal_is_empty_when_nothing_waits(journal: Path) -> None:
    spool = Spool(journal)
    spool.append(a_notice(1))
    assert journal.stat().st_size > 0

    waiting(spool)

    assert journal.stat().st_size == 0
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_only_its_owner_may_read_the_journal(journal: Path) -> None:
    Spool(journal).append(a_notice(1))

    assert journal.parent.stat().st_mode & 0o077 == 0


@given(cut=st.integers(min_value=0, max_value=10_000))
def test_a_power_cut_at_any_byte_costs_nothing_that_was_on_disk(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = tmp_path_factory.mktemp("cut") / "journal.jsonl"
    spool = Spool(journal)
    for number in range(3):
        spool.append(a_notice(number))
    spool.done(a_notice(0).id)
    content = journal.read_bytes()
    left = content[: cut % (len(content) + 1)]
    journal.write_bytes(left)

    Spool(journal).append(a_notice(9))

    n_lines = left.count(b"\n")  # three events, and then that the first was delivered
    assert waiting(Spool(journal)) == ids(*([0, 1, 2][:n_lines] if n_lines < 4 else [1, 2]), 9)


def test_damaged_lines_are_left_out_and_counted(
    journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(journal)
    spool.append(a_notice(1))
    journal.write_bytes(bytes(100) + b"\n\xff\xfe\n" + journal.read_bytes() + b'{"done": 3\n')

    again = Spool(journal)

    assert again.given_up == 3
    assert "3 damaged lines" in caplog.text
    assert waiting(again) == ids(1)


def test_beyond_the_cap_the_oldest_are_given_up_and_counted(journal: Path) -> None:
    line_bytes = len(a_notice(10).to_json()) + 1
    spool = Spool(journal, max_bytes=3 * line_bytes)
    for number in range(10, 20):
        spool.append(a_notice(number))

    assert spool.given_up == 7
    assert journal.stat().st_size <= 2 * 3 * line_bytes
    assert waiting(Spool(journal)) == ids(17, 18, 19)
    assert waiting(spool) == ids(17, 18, 19)


def test_a_single_event_larger_than_the_cap_is_kept(journal: Path) -> None:
    spool = Spool(journal, max_bytes=10)

    spool.append(a_notice(1))

    assert waiting(Spool(journal)) == ids(1)


def test_the_journal_does_not_grow_while_something_always_waits(journal: Path) -> None:
    line_bytes = len(a_notice(100).to_json()) + 1
    spool = Spool(journal, max_bytes=4 * line_bytes)
    largest = 0
    spool.append(a_notice(100))
    for number in range(101, 160):
        spool.append(a_notice(number))
        spool.done(a_notice(number - 1).id)
        largest = max(largest, journal.stat().st_size)

    assert largest <= 2 * 4 * line_bytes
    assert waiting(Spool(journal)) == ids(159)


def test_without_a_path_events_wait_in_memory() -> None:
    spool = Spool(None)
    spool.append(a_notice(1))

    assert spool.problem is None
    assert waiting(spool) == ids(1)


def test_a_full_disk_loses_nothing_and_the_journal_is_mended_when_there_is_space(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path) as disk:
        journal = disk / "journal.jsonl"
        spool = Spool(journal)
        spool.append(a_notice(0))
        filler = fill(disk)
        for number in range(1, 40):
            spool.append(a_notice(number))
        spool.done(a_notice(0).id)
        assert spool.problem is not None
        assert "No space left on device" in spool.problem

        filler.unlink()
        spool.save()

        assert spool.problem is None
        assert waiting(Spool(journal)) == ids(*range(1, 40))


def broken_by(failing: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make a call of the system fail as on a broken disk; return what mends it."""

    def fail(*arguments: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, failing, fail)
    return monkeypatch.undo


def test_a_journal_that_is_emptied_on_a_full_disk_does_not_end_the_problem(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path) as disk:
        spool = Spool(disk / "webhook.jsonl")
        filler = fill(disk)
        for number in range(40):
            spool.append(a_notice(number))
        for number in range(40):
            spool.done(a_notice(number).id)
            spool.save()
            assert spool.problem is not None

        filler.unlink()
        spool.save()

        assert spool.problem is None
        assert (disk / "webhook.jsonl").read_bytes() == b""


def test_a_power_cut_while_there_is_found_to_be_room_loses_nothing(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(journal)
    mend = broken_by("fsync", monkeypatch)
    spool.append(a_notice(1))
    mend()
    spool.append(a_notice(2))

    content = journal.read_bytes()
    assert len(content) > 16_384
    for cut in (len(content), len(content) - 1, len(content) - 16_000):
        journal.write_bytes(content[:cut])
        again = Spool(journal)
        assert (len(again), again.given_up) == (2, 0)


@pytest.mark.parametrize("failing", ["write", "fsync", "open"])
def test_a_disk_that_fails_is_told_and_tried_again_with_the_next_event(
    failing: str, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(journal)
    mend = broken_by(failing, monkeypatch)
    spool.append(a_notice(1))
    assert spool.problem == f"cannot write {journal}: Input/output error"
    mend()

    spool.append(a_notice(2))

    assert spool.problem is None
    assert waiting(Spool(journal)) == ids(1, 2)


def test_a_folder_that_cannot_be_made_is_a_problem_and_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")

    spool = Spool(tmp_path / "spool" / "webhook.jsonl")
    spool.append(a_notice(1))

    assert spool.problem is not None
    assert waiting(spool) == ids(1)


def test_a_name_from_the_command_line_that_is_not_utf_8_survives(journal: Path) -> None:
    event = replace(a_notice(1), machine="p\udcffmp")
    spool = Spool(journal)
    spool.append(event)

    again = Spool(journal)

    assert waiting(again) == [event.id]
    assert len(again) == 0
