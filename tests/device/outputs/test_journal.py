"""Events that wait survive restarts, power cuts, full and broken disks."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from device.reports import a_notice
from device.small_disk import fill, small_disk
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_asd.outputs import Envelope
from edge_asd.outputs.journal import Journal

Open = Callable[..., Journal]


def append(journal: Journal, *numbers: int) -> list[Envelope]:
    """Keep notices; return them."""
    envelopes = [Envelope.of(a_notice(number)) for number in numbers]
    for envelope in envelopes:
        journal.append(envelope)
    return envelopes


def waiting(journal: Journal) -> list[str]:
    """Ids of what waited when the journal was opened."""
    return [envelope.id for envelope in journal.stored]


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]


@pytest.fixture
def open_journal() -> Iterator[Open]:
    """Open a journal; what was opened before on the same path is left as after a crash."""
    opened: list[Journal] = []

    def open_one(path: Path | None, **options: int) -> Journal:
        for journal in opened:
            journal.close()
        opened.append(Journal(path, **options))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "webhook.sqlite3"


def test_events_come_out_in_the_order_in_which_they_went_in(path: Path, open_journal: Open) -> None:
    envelopes = append(open_journal(path), 2, 1, 3)

    assert open_journal(path).stored == envelopes


def test_what_was_not_delivered_waits_for_the_next_start(path: Path, open_journal: Open) -> None:
    journal = open_journal(path)
    append(journal, 0, 1, 2)
    journal.done(a_notice(0).id)

    again = open_journal(path)

    assert waiting(again) == ids(1, 2)
    assert again.n_lost == 0


def test_an_event_that_waits_already_is_not_kept_twice(path: Path, open_journal: Open) -> None:
    append(open_journal(path), 1, 1)
    append(open_journal(path), 1)

    assert waiting(open_journal(path)) == ids(1)


_KILLED = """
import os, signal, sys
from pathlib import Path
from device.outputs.test_journal import append, ids
from edge_asd.outputs.journal import Journal
journal = Journal(Path(sys.argv[1]))
append(journal, 1, 2, 3)
journal.done(*ids(2))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_appended_survives_a_process_that_is_killed(
    path: Path, open_journal: Open
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _KILLED, str(path)]
    killed = subprocess.run(command, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL

    assert waiting(open_journal(path)) == ids(1, 3)


@settings(max_examples=60)
@given(
    damage=st.sampled_from(["cut", "flip", "zero"]),
    place=st.integers(min_value=0, max_value=1_000_000),
)
def test_damage_at_any_byte_costs_what_it_hit_and_is_counted(
    damage: str, place: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damage") / "webhook.sqlite3"
    journal = Journal(path)
    append(journal, *range(40))
    journal.close()
    content = bytearray(path.read_bytes())
    place %= len(content)
    match damage:
        case "cut":
            del content[place:]
        case "flip":
            content[place] ^= 1 << place % 8
        case _:
            content[place : place + 512] = bytes(len(content[place : place + 512]))
    path.write_bytes(content)

    again = Journal(path)
    append(again, 99)
    again.close()

    left = waiting(again)
    assert left == [event for event in ids(*range(40)) if event in left]
    assert again.problem is None
    assert again.n_lost > 0 or len(left) == 40 or not content
    third = Journal(path)
    third.close()
    assert waiting(third) == left + ids(99)


@pytest.mark.parametrize("content", [b"no database " * 1000, None])
def test_a_damaged_database_is_set_aside_and_told(
    content: bytes | None, path: Path, open_journal: Open, caplog: pytest.LogCaptureFixture
) -> None:
    append(open_journal(path), *range(200))
    open_journal(None)
    content = content or path.read_bytes()[:8192] + bytes(path.stat().st_size - 8192)
    path.write_bytes(content)

    journal = open_journal(path)
    append(journal, 1000)

    assert journal.n_lost > 0
    assert journal.problem is None
    assert "is damaged and set aside" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == content
    assert waiting(open_journal(path)) == waiting(journal) + ids(1000)


def test_a_database_of_something_else_is_set_aside(path: Path, open_journal: Open) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE events (a)")
    other.close()

    journal = open_journal(path)
    append(journal, 1)

    assert (journal.n_lost, journal.problem) == (1, None)
    assert waiting(open_journal(path)) == ids(1)


def test_a_row_that_is_damaged_costs_no_other(path: Path, open_journal: Open) -> None:
    append(open_journal(path), 1, 2, 3)
    open_journal(None)
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE events SET event = ? WHERE rowid = 2", [b"\xff"])
        database.execute("INSERT INTO events VALUES (NULL, NULL, NULL, NULL)")
    database.close()

    journal = open_journal(path)

    assert waiting(journal) == ids(1, 3)
    assert journal.n_lost == 2
    assert waiting(open_journal(path)) == ids(1, 3)


def test_the_database_does_not_grow_while_something_always_waits(
    path: Path, open_journal: Open
) -> None:
    journal = open_journal(path)
    append(journal, 1000)
    sizes = []
    for number in range(1001, 1400):
        append(journal, number)
        journal.done(a_notice(number - 1).id)
        sizes.append(sum(file.stat().st_size for file in path.parent.iterdir()))

    assert max(sizes) < 2_000_000
    assert waiting(open_journal(path)) == ids(1399)


def test_only_its_owner_may_read_the_database(path: Path, open_journal: Open) -> None:
    append(open_journal(path), 1)

    assert path.parent.stat().st_mode & 0o077 == 0


def test_without_a_path_nothing_is_kept_and_nothing_fails(open_journal: Open) -> None:
    journal = open_journal(None)
    append(journal, 1)
    journal.done(*ids(1))

    assert journal.problem is None
    assert journal.stored == []


def test_a_full_disk_loses_nothing_and_everything_is_written_when_there_is_space(
    tmp_path: Path, open_journal: Open
) -> None:
    with small_disk(tmp_path, size_kib=256) as disk:
        journal = open_journal(disk / "journal.sqlite3")
        append(journal, 0)
        filler = fill(disk)
        envelopes = append(journal, *range(1, 40))
        journal.done(a_notice(0).id)
        assert journal.problem is not None
        assert "database or disk is full" in journal.problem

        filler.unlink()
        journal.mend(envelopes)

        assert journal.problem is None
        assert waiting(open_journal(disk / "journal.sqlite3")) == ids(*range(1, 40))
        open_journal(None)


def test_a_queue_that_is_emptied_on_a_full_disk_does_not_end_the_problem(
    tmp_path: Path, open_journal: Open
) -> None:
    with small_disk(tmp_path, size_kib=256) as disk:
        journal = open_journal(disk / "webhook.sqlite3")
        filler = fill(disk)
        envelopes = append(journal, *range(40))
        while envelopes:
            journal.done(envelopes.pop(0).id)
            journal.mend(envelopes)
            assert journal.problem is not None

        filler.unlink()
        journal.mend(())

        assert journal.problem is None
        assert waiting(open_journal(disk / "webhook.sqlite3")) == []
        open_journal(None)


def test_what_was_on_a_disk_that_could_not_be_read_comes_back_with_it(
    path: Path, open_journal: Open
) -> None:
    append(open_journal(path), 1)
    open_journal(None)
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    path.parent.write_text("a file where the folder should be")
    journal = open_journal(path)
    later = append(journal, 2)
    assert journal.problem is not None
    assert journal.stored == []

    path.parent.unlink()
    hidden.rename(path.parent)
    late = journal.mend(later)

    assert [envelope.id for envelope in late] == ids(1)
    assert journal.problem is None
    assert waiting(open_journal(path)) == ids(1, 2)


def test_a_folder_that_cannot_be_made_is_a_problem_and_not_an_end(
    tmp_path: Path, open_journal: Open
) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")

    journal = open_journal(tmp_path / "spool" / "webhook.sqlite3")
    append(journal, 1)

    assert journal.problem is not None
    assert journal.stored == []


def test_a_name_from_the_command_line_that_is_not_utf_8_survives(
    path: Path, open_journal: Open
) -> None:
    envelope = Envelope.of(replace(a_notice(1), machine="p\udcffmp"))
    open_journal(path).append(envelope)

    again = open_journal(path)
    assert again.stored == [envelope]
    again.done(envelope.id)

    assert open_journal(path).stored == []


def test_what_an_earlier_version_has_left_is_taken_up_once(path: Path, open_journal: Open) -> None:
    old = path.with_suffix(".jsonl")
    old.parent.mkdir()
    lines = [a_notice(number).to_json() for number in (1, 2, 3)]
    done = json.dumps({"done": a_notice(2).id})
    torn = a_notice(4).to_json()[:40]
    old.write_text("\n".join([*lines, done, "\0\0", '{"done": []}', torn]))

    journal = open_journal(path)
    append(journal, 5)

    assert journal.n_lost == 3
    assert not old.exists()
    assert journal.stored == [Envelope.of(a_notice(1)), Envelope.of(a_notice(3))]
    journal.done(a_notice(1).id)
    assert waiting(open_journal(path)) == ids(3, 5)
