"""A table of text for the terminal, Markdown and LaTeX; records for CSV and JSON."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable

__all__ = [
    "CsvRow",
    "Row",
    "Table",
    "as_latex",
    "as_markdown",
    "as_rich",
    "percent",
    "triple",
    "write_csv",
]

CsvRow = dict[str, str | int | float | bool | None]  # a row of a CSV file

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    **{char: f"\\{char}" for char in "&%$#_"},
}


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


def as_markdown(table: Table) -> str:
    """The table as GitHub and Pandoc read it, below its title."""
    lines = [f"## {_markdown(table.title)}", ""]
    if table.caveat:
        lines += [f"> **Note:** {_markdown(table.caveat)}.", ""]
    lines.append(_line(map(_markdown, table.headings)))
    lines.append(_line("---" if head in table.texts else "---:" for head in table.headings))
    for group in table.groups:
        for row in group:
            cells = map(_markdown, row.cells.values())
            lines.append(_line(f"**{cell}**" if cell and row.strong else cell for cell in cells))
    if table.note:
        lines += ["", _markdown(table.note)]
    return "\n".join(lines) + "\n"


def as_latex(table: Table) -> str:
    """The table as a float; needs the package booktabs."""
    caveat = f" \\textbf{{Note: {_latex(table.caveat)}.}}" if table.caveat else ""
    spec = "".join("l" if heading in table.texts else "r" for heading in table.headings)
    groups = [
        "\n".join(
            " & ".join(
                f"\\textbf{{{_latex(cell)}}}" if cell and row.strong else _latex(cell)
                for cell in row.cells.values()
            )
            + r" \\"
            for row in group
        )
        for group in table.groups
    ]
    head = " & ".join(map(_latex, table.headings))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize",
            f"\\caption{{{_latex(table.title)}.{caveat} {_latex(table.note)}}}",
            f"\\label{{tab:{table.name}}}",
            f"\\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            f"{head} \\\\",
            r"\midrule",
            "\n\\midrule\n".join(groups),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


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


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", text)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
