"""Events and memory on disk survive restarts, power cuts, full and broken disks."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from device.reports import a_notice
from device.small_disk import fill, small_disk
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_asd.outputs import Envelope
from edge_asd.outputs.journal import Content, Journal, Waiting, memory_in

Open = Callable[[Path], Journal]


def waiting(*numbers: int, outputs: tuple[str, ...] = ("webhook",)) -> list[Waiting]:
    return [(Envelope.of(a_notice(number)), frozenset(outputs)) for number in numbers]


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]


def ids_of(content: Content) -> list[str]:
    return [envelope.id for envelope, _ in content.events]


@pytest.fixture
def open_journal() -> Iterator[Open]:
    """Open a journal; what was opened before is left as after a crash."""
    opened: list[Journal] = []

    def open_one(path: Path) -> Journal:
        for journal in opened:
            journal.close()
        opened.append(Journal(path))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pump" / "journal.sqlite3"


def test_events_come_out_in_the_order_in_which_they_went_in(path: Path, open_journal: Open) -> None:
    open_journal(path).write(waiting(2, 1, 3), (), {})

    assert open_journal(path).load() == Content(waiting(2, 1, 3))


def test_what_is_still_to_be_delivered_by_some_output_keeps_its_place(
    path: Path, open_journal: Open
) -> None:
    journal = open_journal(path)
    journal.write(waiting(0, 1, 2, outputs=("mqtt", "webhook")), (), {})
    journal.write(waiting(1), ids(0), {})

    content = open_journal(path).load()

    assert content.events == [*waiting(1), *waiting(2, outputs=("mqtt", "webhook"))]
    assert content.n_lost == 0


def test_memory_is_kept_by_name_and_the_newest_counts(path: Path, open_journal: Open) -> None:
    journal = open_journal(path)
    journal.write((), (), {"alarm": b"on", "other": b"\0"})
    journal.write((), (), {"alarm": b"off"})

    assert open_journal(path).load().memory == {"alarm": b"off", "other": b"\0"}


def test_events_and_memory_are_written_together_or_not_at_all(
    path: Path, open_journal: Open
) -> None:
    journal = open_journal(path)
    journal.write(waiting(1), (), {"alarm": b"before"})

    def fails() -> Iterator[Waiting]:
        yield from waiting(2)
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError):
        journal.write(fails(), (), {"alarm": b"after"})

    assert open_journal(path).load() == Content(waiting(1), {"alarm": b"before"})


_KILLED = """
import os, signal, sys
from pathlib import Path
from device.outputs.test_journal import ids, waiting
from edge_asd.outputs.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.write(waiting(1, 2, 3), (), {"alarm": b"on"})
journal.write((), ids(2), {})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_survives_a_process_that_is_killed(path: Path, open_journal: Open) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _KILLED, str(path)]
    killed = subprocess.run(command, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL

    assert open_journal(path).load() == Content(waiting(1, 3), {"alarm": b"on"})


@settings(max_examples=25, deadline=None)
@given(
    damage=st.sampled_from(["cut", "flip", "zero"]),
    place=st.integers(min_value=0, max_value=1_000_000),
)
def test_damage_at_any_byte_costs_what_it_hit_and_is_counted(
    damage: str, place: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damage") / "journal.sqlite3"
    journal = Journal(path)
    journal.write(waiting(*range(40)), (), {"alarm": b"on"})
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
    found = again.load()
    again.write(waiting(99), (), {})
    again.close()

    left = ids_of(found)
    assert left == [event for event in ids(*range(40)) if event in left]
    assert found.n_lost > 0 or len(left) == 40 or not content
    assert found.aside is None or found.aside.read_bytes() == content
    third = Journal(path)
    assert ids_of(third.load()) == left + ids(99)
    third.close()


def test_the_events_in_a_file_that_cannot_be_used_are_counted(
    path: Path, open_journal: Open, caplog: pytest.LogCaptureFixture
) -> None:
    open_journal(path).write(waiting(*range(5)), (), {})
    open_journal(path).write((), ids(4), {})
    open_journal(path).close()
    content = b"no database here" + path.read_bytes()[16:]
    path.write_bytes(content)

    found = open_journal(path).load()

    assert (found.events, found.n_lost) == ([], 4)
    assert found.aside == path.with_suffix(".damaged")
    assert found.aside.read_bytes() == content
    assert "is damaged" in caplog.text


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x"


@pytest.mark.parametrize(
    "script",
    [
        f"DROP TABLE memory; CREATE VIEW memory AS {ENDLESS} AS name, x AS content, x AS checksum, "
        "x AS rowid FROM c",
        f"CREATE TRIGGER endless AFTER INSERT ON events "
        f"BEGIN INSERT INTO room {ENDLESS} FROM c; END",
        "DROP TABLE memory; CREATE TABLE memory (name, content AS (zeroblob(900000000)), checksum)",
    ],
    ids=["view", "trigger", "computed column"],
)
def test_a_file_that_computes_is_kept_and_never_asked(
    script: str, path: Path, open_journal: Open
) -> None:
    open_journal(path).write(waiting(1, 2), (), {"alarm": b"on"})
    open_journal(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    content = path.read_bytes()

    assert memory_in(content) == {}
    found = open_journal(path).load()
    open_journal(path).write(waiting(3), (), {})

    assert (found.events, found.n_lost) == ([], 2)
    assert found.aside is not None
    assert found.aside.read_bytes() == content
    assert ids_of(open_journal(path).load()) == ids(3)


def test_a_file_that_is_larger_than_any_journal_takes_no_memory(
    path: Path, open_journal: Open
) -> None:
    open_journal(path).write(waiting(1, 2), (), {})
    open_journal(path).close()
    os.truncate(path, 1 << 40)

    found = open_journal(path).load()

    assert (found.events, found.n_lost) == ([], 2)
    assert found.aside is not None
    assert found.aside.stat().st_size == 1 << 40


def test_a_second_damaged_file_takes_no_place_of_the_first(path: Path, open_journal: Open) -> None:
    path.parent.mkdir()
    for content in (b"first " * 200, b"second " * 200):
        path.write_bytes(content)
        open_journal(path).load()

    kept = [name.read_bytes()[:5] for name in sorted(path.parent.glob("journal.damaged*"))]
    assert kept == [b"first", b"secon"]


def test_a_row_that_is_damaged_costs_no_other(path: Path, open_journal: Open) -> None:
    open_journal(path).write(waiting(1, 2, 3), (), {"alarm": b"on"})
    open_journal(path).close()
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE events SET event = ? WHERE number = 2", [b"\xff"])
        database.execute("INSERT INTO events (id) VALUES (NULL)")
    database.close()

    found = open_journal(path).load()

    assert (ids_of(found), found.n_lost) == (ids(1, 3), 2)
    assert open_journal(path).load() == Content(waiting(1, 3), {"alarm": b"on"})


class BadSector(Journal):
    """A disk that cannot read the journal for some attempts."""

    def __init__(self, path: Path, attempts: int, code: int = sqlite3.SQLITE_IOERR_READ) -> None:
        super().__init__(path)
        self._attempts = attempts
        self._code = code

    def _opened(self) -> sqlite3.Connection:
        if self._attempts > 0:
            self._attempts -= 1
            error = sqlite3.DatabaseError("it failed")
            error.sqlite_errorcode = self._code
            raise error
        return super()._opened()


def test_a_disk_that_cannot_read_changes_nothing(path: Path, open_journal: Open) -> None:
    open_journal(path).write(waiting(1, 2), (), {"alarm": b"on"})
    open_journal(path).close()
    journal = BadSector(path, attempts=2)

    with pytest.raises(sqlite3.DatabaseError, match="it failed"):
        journal.load()
    found = journal.load()
    journal.close()

    assert found == Content(waiting(1, 2), {"alarm": b"on"})
    assert not list(path.parent.glob("*.damaged"))


def test_one_error_of_the_disk_is_no_damage_though_the_database_says_so(
    path: Path, open_journal: Open
) -> None:
    open_journal(path).write(waiting(1, 2), (), {"alarm": b"on"})
    open_journal(path).close()
    journal = BadSector(path, attempts=1, code=sqlite3.SQLITE_CORRUPT)

    assert journal.load() == Content(waiting(1, 2), {"alarm": b"on"})
    journal.close()
    assert not list(path.parent.glob("*.damaged"))


def test_a_file_that_the_disk_never_reads_is_kept_beside_a_new_one_and_counted(
    path: Path, open_journal: Open
) -> None:
    open_journal(path).write(waiting(1, 2), (), {})
    open_journal(path).close()
    content = path.read_bytes()
    journal = BadSector(path, attempts=2)

    found = journal.load(give_up=True)
    journal.close()

    assert (found.events, found.n_lost) == ([], 2)
    assert found.aside is not None
    assert found.aside.read_bytes() == content


def test_a_file_that_somebody_else_has_locked_is_never_replaced(
    path: Path, open_journal: Open
) -> None:
    open_journal(path).write(waiting(1), (), {})

    with closing(Journal(path)) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
        other.load(give_up=True)


def test_a_power_cut_while_a_damaged_file_is_replaced_costs_nothing(
    path: Path, open_journal: Open
) -> None:
    open_journal(path).write(waiting(1, 2), (), {})
    open_journal(path).close()
    path.rename(path.with_suffix(".new"))

    assert ids_of(open_journal(path).load()) == ids(1, 2)


def test_the_database_does_not_grow_while_something_always_waits(
    path: Path, open_journal: Open
) -> None:
    journal = open_journal(path)
    journal.write(waiting(1000), (), {})
    sizes = []
    for number in range(1001, 1100):
        journal.write(waiting(number), ids(number - 1), {})
        sizes.append(sum(file.stat().st_size for file in path.parent.iterdir()))

    assert max(sizes) < 100_000
    assert ids_of(open_journal(path).load()) == ids(1099)


def test_only_its_owner_may_read_the_database(path: Path, open_journal: Open) -> None:
    open_journal(path).write(waiting(1), (), {})

    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_full_disk_changes_nothing(tmp_path: Path, open_journal: Open) -> None:
    with small_disk(tmp_path, size_kib=256) as disk:
        path = disk / "journal.sqlite3"
        journal = open_journal(path)
        journal.write(waiting(0), (), {})
        filler = fill(disk)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            journal.write(waiting(*range(1, 40)), ids(0), {})
        assert ids_of(open_journal(path).load()) == ids(0)

        filler.unlink()
        open_journal(path).write(waiting(*range(1, 40)), ids(0), {}, with_room=True)

        assert ids_of(open_journal(path).load()) == ids(*range(1, 40))
        open_journal(path).close()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "pump").write_text("a file where the folder should be")

    with pytest.raises(OSError, match="File exists"):
        Journal(tmp_path / "pump" / "journal.sqlite3").write(waiting(1), (), {})


def test_a_name_from_the_command_line_that_is_not_utf_8_survives(
    path: Path, open_journal: Open
) -> None:
    envelope = Envelope.of(replace(a_notice(1), machine="p\udcffmp"))
    open_journal(path).write([(envelope, frozenset({"mqtt"}))], (), {})

    again = open_journal(path)
    assert again.load().events == [(envelope, frozenset({"mqtt"}))]
    again.write((), [envelope.id], {})

    assert open_journal(path).load().events == []
