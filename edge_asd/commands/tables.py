"""Tables as several commands print them; imported where something is printed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rich.console import Console
from rich.table import Table

__all__ = ["grid", "plain_console", "table"]


def plain_console(pipe_width: int | None = None) -> Console:
    """Return a console on which names with brackets and colons are printed as they are.

    Parameters
    ----------
    pipe_width : in columns, where standard output is no terminal; None: 80
    """
    console = Console(markup=False, emoji=False, highlight=False)
    if pipe_width and not console.is_terminal:
        console.width = pipe_width
    return console


def table(*headings: str, right: Collection[str] = (), title: str | None = None) -> Table:
    """Return a table; the columns with the headings `right` are aligned to that side."""
    made = Table(title=title, title_justify="left")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return made


def grid(rows: Iterable[tuple[str, object]]) -> Table:
    """Return names and their values in two columns."""
    made = Table.grid(padding=(0, 2))
    for name, value in rows:
        made.add_row(name, str(value))
    return made
