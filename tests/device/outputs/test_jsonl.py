"""Lines in a file are whole, whatever happens to the file."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pytest
from device.made_events import SCORE
from device.reports import a_notice
from device.small_disk import fill, small_disk

from edge_asd.errors import OutputError
from edge_asd.outputs import jsonl
from edge_asd.outputs.direct import Direct
from edge_asd.outputs.jsonl import JsonlFile, JsonlStream

LINE_BYTES = len(a_notice(10).to_json()) + 1


def texts(*paths: Path) -> list[str]:
    """Texts of the notices in the files; every line must be whole."""
    return [json.loads(line)["text"] for path in paths for line in path.read_text().splitlines()]


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[Direct]:
    with closing(Direct(JsonlFile(path, **options))) as file:
        yield file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_an_event_is_one_line_on_the_stream_at_once() -> None:
    stream = io.StringIO()
    output = Direct(JsonlStream(stream))

    output.emit(SCORE)

    assert stream.getvalue() == SCORE.to_json() + "\n"
    assert output.counters() == {"sent": 1, "dropped": 0, "waiting": 0}
    output.close()
    assert not stream.closed


def test_a_stream_that_cannot_be_written_is_an_error_and_counted() -> None:
    with Path("/dev/full").open("w") as stream:
        output = Direct(JsonlStream(stream))
        with pytest.raises(OutputError, match="cannot write stdout: No space left on device"):
            output.emit(SCORE)
        assert output.counters()["dropped"] == 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for what is buffered


def test_an_event_that_is_tried_again_on_a_full_disk_is_written_once(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk, (disk / "events.jsonl").open("w") as stream:
        filler = fill(disk)
        output = Direct(JsonlStream(stream))
        for _ in range(3):
            with pytest.raises(OutputError):
                output.emit(a_notice(1))
        filler.unlink()

        for number in (1, 2):
            output.emit(a_notice(number))

        assert texts(disk / "events.jsonl") == ["notice 1", "notice 2"]


def test_a_reader_that_has_gone_is_told_apart_from_other_failures(path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), os.fdopen(writing, "w", closefd=False) as stream:
        Direct(JsonlStream(stream)).emit(SCORE)
    os.close(writing)


def test_a_pipe_that_nobody_reads_is_opened_again_when_somebody_does(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with opened(tmp_path / "pipe") as pipe:
        with pytest.raises(OutputError, match=r"pipe: nobody reads it$"):
            pipe.emit(a_notice(1))
        for number in (2, 3):
            reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
            pipe.emit(a_notice(number))
            assert json.loads(os.read(reading, 4096))["text"] == f"notice {number}"
            os.close(reading)
            with pytest.raises(BrokenPipeError):
                pipe.emit(a_notice(0))


def test_a_disk_that_hangs_keeps_no_output_from_being_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(jsonl, "_OPENS_WITHIN_S", 0.01)
    monkeypatch.setattr(jsonl, "open_to_append", lambda path, waits: answers.wait() and None)

    JsonlFile(path)  # returns, or the test never ends

    answers.set()


def test_a_file_is_continued(path: Path) -> None:
    for number in (1, 2):
        file = Direct(JsonlFile(path))
        file.emit(a_notice(number))
        file.close()

    assert texts(path) == ["notice 1", "notice 2"]
    assert file.counters() == {"sent": 1, "dropped": 0, "waiting": 0}


def test_a_line_that_a_power_cut_tore_does_not_spoil_the_next(path: Path) -> None:
    path.write_text('{"event": "sco')

    with opened(path) as file:
        file.emit(SCORE)

    assert path.read_text() == f'{{"event": "sco\n{SCORE.to_json()}\n'


def test_a_durable_event_that_the_disk_does_not_keep_is_not_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with opened(path) as file:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fails)
            with pytest.raises(OutputError, match="Input/output error"):
                file.emit(a_notice(1))
        assert path.read_bytes() == b""
        file.emit(a_notice(1))

    assert path.read_text() == a_notice(1).to_json() + "\n"


def test_a_full_file_is_renamed_and_no_line_is_split(path: Path) -> None:
    with opened(path, max_bytes=3 * LINE_BYTES, backups=2) as file:
        for number in range(10, 22):
            file.emit(a_notice(number))

    backups = [path.with_name("events.jsonl.2"), path.with_name("events.jsonl.1")]
    assert texts(*backups, path) == [f"notice {number}" for number in range(13, 22)]
    assert sorted(path.parent.iterdir()) == sorted([*backups, path])
    assert all(file.stat().st_size <= 3 * LINE_BYTES for file in [*backups, path])


def test_without_backups_a_full_file_begins_anew(path: Path) -> None:
    with opened(path, max_bytes=LINE_BYTES, backups=0) as file:
        for number in (10, 11, 12):
            file.emit(a_notice(number))

    assert list(path.parent.iterdir()) == [path]
    assert texts(path) == ["notice 12"]


def test_a_single_line_longer_than_the_file_may_be_is_written(path: Path) -> None:
    with opened(path, max_bytes=10, backups=1) as file:
        file.emit(a_notice(1))
        file.emit(a_notice(2))

    assert texts(path) == ["notice 2"]
    assert texts(path.with_name("events.jsonl.1")) == ["notice 1"]


def test_a_file_that_another_program_removed_is_no_obstacle(path: Path) -> None:
    with opened(path, max_bytes=LINE_BYTES, backups=1) as file:
        file.emit(a_notice(10))
        path.unlink()
        file.emit(a_notice(11))

    assert texts(path) == ["notice 11"]


def test_a_file_that_is_cleared_away_or_rotated_by_others_takes_the_next_event(path: Path) -> None:
    with opened(path) as file:
        file.emit(a_notice(1))
        path.unlink()
        file.emit(a_notice(2))
        path.rename(path.with_name("archived"))
        file.emit(a_notice(3))

    assert texts(path.with_name("archived")) == ["notice 2"]
    assert texts(path) == ["notice 3"]


def test_after_a_rotation_that_failed_the_next_event_tries_again(path: Path) -> None:
    with opened(path, max_bytes=LINE_BYTES, backups=1) as file:
        file.emit(a_notice(10))
        obstacle = path.with_name("events.jsonl.1")
        obstacle.mkdir()
        for _ in range(2):
            with pytest.raises(OutputError, match=r"cannot write .*events\.jsonl: Is a directory"):
                file.emit(a_notice(11))
        obstacle.rmdir()

        file.emit(a_notice(12))

    assert texts(obstacle, path) == ["notice 10", "notice 12"]
    assert file.counters() == {"sent": 2, "dropped": 2, "waiting": 0}


def test_a_full_disk_tears_no_line_and_writing_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        path = disk / "events.jsonl"
        file = Direct(JsonlFile(path))
        file.emit(a_notice(0))
        filler = fill(disk)
        with pytest.raises(OutputError, match="No space left on device"):
            for number in range(1, 100):
                file.emit(a_notice(number))
        written = file.counters()["sent"]
        filler.unlink()

        file.emit(a_notice(100))

        assert texts(path) == [*(f"notice {number}" for number in range(written)), "notice 100"]
        file.close()


def test_the_handler_of_the_standard_library_tears_a_line_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with small_disk(tmp_path) as disk:
        path = disk / "events.jsonl"
        handler = RotatingFileHandler(path, maxBytes=50_000)
        filler = fill(disk)
        for number in range(100):
            handler.emit(logging.makeLogRecord({"msg": a_notice(number).to_json()}))
        content = path.read_bytes()
        filler.unlink()
        handler.close()

    assert not content.endswith(b"\n")  # why JsonlFile writes by itself


def test_a_device_is_written_and_never_renamed() -> None:
    with opened(Path("/dev/null"), max_bytes=10, backups=1) as file:
        for number in range(3):
            file.emit(a_notice(number))

    assert file.counters()["sent"] == 3
    assert Path("/dev/null").is_char_device()


def test_a_name_that_is_not_utf_8_does_not_stop_the_file(path: Path) -> None:
    with opened(path) as file:
        file.emit(replace(SCORE, machine="p\udcffmp"))

    assert json.loads(path.read_text())["machine"] == "p\udcffmp"


@pytest.mark.parametrize(
    ("where", "reason"), [("no/such/folder.jsonl", "No such file"), ("", "Is a directory")]
)
def test_a_file_that_cannot_be_opened_is_an_error(where: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"cannot write .*{where}.*: {reason}"):
        JsonlFile(tmp_path / where)
