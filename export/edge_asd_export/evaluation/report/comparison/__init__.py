"""The report of a comparison: a folder of tables, figures and one HTML page."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from edge_asd_export.bundling.atomic_folder import atomic_folder
from edge_asd_export.evaluation.report import RESULTS_NAME
from edge_asd_export.evaluation.report.comparison.content import ComparisonReport
from edge_asd_export.evaluation.report.comparison.files import as_json, write_csv_files
from edge_asd_export.evaluation.report.comparison.html import render_html
from edge_asd_export.evaluation.report.comparison.pictures import write_pictures
from edge_asd_export.evaluation.report.comparison.table import as_latex, as_markdown, as_rich
from edge_asd_export.evaluation.report.comparison.tables import all_tables

__all__ = ["ComparisonReport", "print_comparison", "write_comparison"]

_NARROWEST = 160  # columns that the tables need; a pipe reports 80
_MOST_COMPARED = 7  # systems against each other on a terminal


def write_comparison(report: ComparisonReport, folder: Path) -> None:
    """All files of the report in `folder`, which appears complete or not at all.

    An earlier report there is replaced.

    Raises
    ------
    UsageError
        When `folder` holds something else than a report.
    DataError
        When the folder cannot be written.
    """
    tables = all_tables(report)
    with atomic_folder(folder, RESULTS_NAME) as staging:
        texts = {
            "tables.md": "\n".join(as_markdown(table) for table in tables),
            "tables.tex": "% needs \\usepackage{booktabs}\n"
            + "\n".join(as_latex(table) for table in tables),
            RESULTS_NAME: json.dumps(as_json(report), indent=2, ensure_ascii=False) + "\n",
            "report.html": render_html(report, tables, write_pictures(report, staging)),
        }
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8")
        write_csv_files(report, staging)


def print_comparison(report: ComparisonReport, console: Console | None = None) -> None:
    """The tables on stdout, without the warnings that stderr has had before the scoring."""
    console = console or Console()
    if console.width < _NARROWEST and not console.is_terminal:
        console = Console(file=console.file, width=_NARROWEST)
    for table in all_tables(report, most_compared=_MOST_COMPARED):
        console.print(as_rich(table))
    for note in report.notes:
        if note not in report.warnings:
            console.print(f"Note: {note}.", highlight=False, soft_wrap=True, markup=False)
