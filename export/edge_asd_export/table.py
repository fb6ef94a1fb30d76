"""A table of text, and how a terminal shows it; records for CSV and JSON."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable

__all__ = ["CsvRow", "Row", "Table", "as_rich", "percent", "triple", "write_csv"]

CsvRow = dict[str, str | int | float | bool | None]  # a row of a CSV file


@dataclass(frozen=True, slots=True)
class Row:
    """One row: cells by the heading of their column."""

    cells: Mapping[str, str]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Groups of rows below one head."""

    name: str  # of files and references
    title: str
    groups: Sequence[Sequence[Row]]  # all rows have the same headings
    texts: Collection[str]  # columns of names, to the left; numbers stand to the right
    note: str = ""  # how to read it
    caveat: str | None = None  # what must not be overlooked

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(next((row.cells for group in self.groups for row in group), {}))


def as_rich(table: Table) -> RichTable:
    """The table for a terminal; the caveat stands in the title, above all figures."""
    title = table.title if table.caveat is None else f"{table.title}\nNOTE: {table.caveat}"
    rich = RichTable(title=escape(title), caption=escape(table.note) or None, box=SIMPLE_HEAD)
    for heading in table.headings:
        cells = [row.cells[heading] for group in table.groups for row in group]
        words = [word for text in (heading, *cells) for word in text.split()]
        least = max(map(len, words), default=1)  # a terminal may break lines, never words
        head = fill(heading, max(least, *map(len, cells)))
        justify: Literal["left", "right"] = "left" if heading in table.texts else "right"
        rich.add_column(escape(head), justify=justify, min_width=least, overflow="fold")
    for group in table.groups:
        for row in group:
            rich.add_row(*map(escape, row.cells.values()), style="bold" if row.strong else "")
        rich.add_section()
    return rich


def percent(value: float) -> str:
    """A fraction in percent, as the challenge's tables print it."""
    return f"{100 * value:.2f}"


def triple(values: Sequence[float] | None) -> str:
    """AUC source, AUC target and pAUC, given in percent, in one cell."""
    return "/".join(f"{value:.2f}" for value in values) if values else "–"


def write_csv(path: Path, records: Sequence[CsvRow], fields: Sequence[str] = ()) -> None:
    """Write the records below a header; without records and `fields` the file is empty."""
    header = list(fields or (records[0] if records else ()))
    with path.open("w", newline="", encoding="utf-8") as file:
        if header:
            writer = csv.DictWriter(file, fieldnames=header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
