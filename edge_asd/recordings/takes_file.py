"""``takes.csv`` in a machine's folder: which of its training clips belong to one take.

    file,take
    section_00_source_train_normal_0000_speed_2.flac,take-0000

A *take* is a continuous recording. Its clips sound more alike than two clips of the machine
do, so that training and calibration keep a take together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from edge_asd.errors import DataError
from edge_asd.state.atomic import write_atomically

__all__ = ["TAKES_FILE", "read_takes", "write_takes"]

TAKES_FILE = "takes.csv"
_COLUMNS = ("file", "take")


def read_takes(path: Path) -> dict[str, str]:
    """Return the take of each clip by the clip's file name; none when there is no such file.

    A name may be that of a clip which was removed since.

    Raises
    ------
    DataError
        When it cannot be read, lacks a column, or names a clip twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{path} cannot be read: {reason}") from error
    rows = csv.DictReader(io.StringIO(text))
    try:
        return _takes(rows, path)
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num + 1}: {error}; mend or remove it") from error


def write_takes(path: Path, takes: Mapping[str, str]) -> None:
    """Write the take of each clip, by its file name, whole or not at all.

    Raises
    ------
    OSError
        As the system does; the old file is then as it was.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    rows.writerows(takes.items())
    write_atomically(path, text.getvalue())


def _takes(rows: csv.DictReader[str], path: Path) -> dict[str, str]:
    if not set(_COLUMNS) <= set(rows.fieldnames or ()):
        raise DataError(
            f"{path}: expected the columns {' and '.join(_COLUMNS)}, with a comma between them; "
            "mend or remove the file"
        )
    takes: dict[str, str] = {}
    for row in rows:
        file, take = (row[name] for name in _COLUMNS)
        if not file or not take:
            raise DataError(f"{path}, line {rows.line_num}: expected a file and its take")
        if takes.setdefault(file, take) != take:
            raise DataError(f"{path}: {file} belongs to two takes; leave one of its lines")
    return takes
