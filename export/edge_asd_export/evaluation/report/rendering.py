"""Reports as text: the HTML page, and the tables for Markdown and LaTeX."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from edge_asd_export.evaluation.evaluate import FUSED
from edge_asd_export.evaluation.published import totals_only
from edge_asd_export.evaluation.report.comparison_tables import kind_label
from edge_asd_export.evaluation.report.content import MeasuredBundles
from edge_asd_export.evaluation.report.evaluation_tables import decisions_table
from edge_asd_export.table import Table, percent

__all__ = ["render"]

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


def render(
    template: str,
    tables: Sequence[Table],
    report: MeasuredBundles | None = None,
    pictures: Path = Path(),
) -> str:
    """Fill a template of this folder.

    Parameters
    ----------
    template : its name without the ending ``.j2``
    report, pictures : of a page, and the folder of what it shows; tables alone need none
    """
    environment = Environment(
        loader=PackageLoader("edge_asd_export.evaluation.report", "."),
        # Machine and bundle names come from folders and files of others.
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def picture(name: str) -> str:
        """The picture as a data address; empty where it was not drawn."""
        path = pictures / f"{name}.png"
        if not path.is_file():
            return ""
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"

    environment.filters.update(
        decisions=decisions_table,
        label=kind_label,
        latex=_latex,
        markdown=_markdown,
        percent=percent,
        picture=picture,
        totals_only=totals_only,
    )
    return environment.get_template(f"{template}.j2").render(
        FUSED=FUSED, report=report, tables={table.name: table for table in tables}
    )


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", text)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
