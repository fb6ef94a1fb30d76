from __future__ import annotations

from pathlib import Path

import pytest

from edge_asd.errors import DataError
from edge_asd.recordings.takes_file import read_takes, write_takes


def test_takes_are_read_as_they_were_written(tmp_path: Path) -> None:
    takes = {"b.flac": "take-0000", "a.flac": "monday, late"}

    write_takes(tmp_path / "takes.csv", takes)

    assert read_takes(tmp_path / "takes.csv") == takes


def test_no_file_names_no_takes(tmp_path: Path) -> None:
    assert read_takes(tmp_path / "takes.csv") == {}


def test_a_spreadsheet_may_have_written_it(tmp_path: Path) -> None:
    path = tmp_path / "takes.csv"
    path.write_bytes("\ufefffile,note,take\r\na.flac,loud,1\r\n".encode())

    assert read_takes(path) == {"a.flac": "1"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected the columns file and take"),
        ("clip,take\na,1\n", "expected the columns file and take"),
        ("file,take\na\n", "line 2: expected a file and its take"),
        ("file,take\na,\n", "line 2: expected a file and its take"),
        ("file,take\na,1\na,2\n", "a belongs to two takes"),
        ("file,take\n\xff", "not UTF-8"),
        ("file;take\na;1\n", "with a comma between them"),
        (f"file,take\na,{'x' * 200_000}\n", "line 2: field larger than field limit"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "takes.csv"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(DataError, match=reason):
        read_takes(path)
