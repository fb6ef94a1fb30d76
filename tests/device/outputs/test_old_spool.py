"""What an earlier version has left for its outputs is delivered once."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from device.reports import a_notice

from edge_asd.events.fault import FaultChange
from edge_asd.outputs import Envelope
from edge_asd.outputs.outbox import Outbox


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]


def old_database(path: Path, *numbers: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE events (id BLOB PRIMARY KEY, event BLOB, payload BLOB, checksum INTEGER)"
        )
        for number in numbers:
            envelope = Envelope.of(a_notice(number))
            row = envelope.id.encode(), envelope.event.encode(), envelope.payload
            database.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?)", [*row, zlib.crc32(b"\0".join(row))]
            )


def stored(folder: Path, news: list[FaultChange] | None = None) -> dict[str, list[str]]:
    """Ids that each output has to deliver."""
    report = (news if news is not None else []).append
    path = folder / "journal.sqlite3"
    with closing(Outbox(path, report, old_spool=folder / "spool")) as outbox:
        return {
            name: [envelope.id for envelope in outbox.stored(name)] for name in ("mqtt", "webhook")
        }


def test_each_output_gets_what_waited_for_it_in_its_order_and_the_files_go(tmp_path: Path) -> None:
    old_database(tmp_path / "spool" / "mqtt.sqlite3", 3)
    old_database(tmp_path / "spool" / "webhook.sqlite3", 1, 2, 3)

    assert stored(tmp_path) == {"mqtt": ids(3), "webhook": ids(1, 2, 3)}
    assert stored(tmp_path) == {"mqtt": ids(3), "webhook": ids(1, 2, 3)}
    assert list((tmp_path / "spool").iterdir()) == []


def test_lines_of_the_oldest_version_are_taken_over_too(tmp_path: Path) -> None:
    old = tmp_path / "spool" / "webhook.jsonl"
    old.parent.mkdir()
    lines = [a_notice(number).to_json() for number in (1, 2, 3)]
    done = json.dumps({"done": a_notice(2).id})
    torn = a_notice(4).to_json()[:40]
    old.write_text("\n".join([*lines, done, "\0\0", '{"done": []}', torn]))
    news: list[FaultChange] = []

    assert stored(tmp_path, news)["webhook"] == ids(1, 3)
    assert [(change.key, change.figures) for change in news] == [
        ("events_lost:journal", {"lost": 3})
    ]
    assert [path.name for path in old.parent.iterdir()] == ["webhook.damaged"]


@pytest.mark.parametrize("content", [b"no database " * 100, b""])
def test_a_file_that_is_no_database_is_kept_under_another_name(
    content: bytes, tmp_path: Path
) -> None:
    old_database(tmp_path / "spool" / "mqtt.sqlite3", 3)
    (tmp_path / "spool" / "webhook.sqlite3").write_bytes(content)
    news: list[FaultChange] = []

    assert stored(tmp_path, news) == {"mqtt": ids(3), "webhook": []}
    assert [change.key for change in news] == ["events_lost:journal"]
    assert (tmp_path / "spool" / "webhook.damaged").read_bytes() == content
