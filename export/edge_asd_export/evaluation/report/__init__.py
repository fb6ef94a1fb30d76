"""Reports of measured bundles: a folder of tables, pictures and one HTML page."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from edge_asd.errors import UsageError
from edge_asd_export.atomic_folder import atomic_folder
from edge_asd_export.evaluation.report.comparison_pictures import draw_comparison
from edge_asd_export.evaluation.report.comparison_records import (
    comparison_json,
    write_comparison_csv,
)
from edge_asd_export.evaluation.report.comparison_tables import comparison_tables
from edge_asd_export.evaluation.report.content import ComparisonReport, EvaluationReport
from edge_asd_export.evaluation.report.evaluation_pictures import draw_evaluation
from edge_asd_export.evaluation.report.evaluation_records import (
    evaluation_json,
    write_evaluation_csv,
)
from edge_asd_export.evaluation.report.evaluation_tables import evaluation_tables
from edge_asd_export.evaluation.report.rendering import render
from edge_asd_export.table import Table, as_rich

__all__ = [
    "ComparisonReport",
    "EvaluationReport",
    "print_report",
    "report_json",
    "require_replaceable",
    "write_report",
]

RESULTS_NAME = "results.json"

_NARROWEST = 160  # columns that the tables need; a pipe reports 80
_MOST_COMPARED = 7  # systems against each other on a terminal

AnyReport = EvaluationReport | ComparisonReport


def require_replaceable(folder: Path) -> None:
    """Nothing when a report may be written at `folder`: it is new, empty, or a report.

    Raises
    ------
    UsageError
        When something else is there, which would be lost.
    """
    if not folder.exists():
        return
    is_report = (folder / RESULTS_NAME).is_file()
    if not folder.is_dir() or (not is_report and any(folder.iterdir())):
        raise UsageError(
            f"{folder} exists and is not a report of an evaluation; give another --out"
        )


def write_report(report: AnyReport, folder: Path) -> None:
    """All files of the report in `folder`, which appears complete or not at all.

    An earlier report there is replaced.

    Raises
    ------
    UsageError
        When `folder` holds something else than a report.
    DataError
        When the folder cannot be written.
    """
    tables = _tables(report)
    text = json.dumps(report_json(report), indent=2, ensure_ascii=False) + "\n"
    with atomic_folder(folder, RESULTS_NAME) as staging:
        (staging / RESULTS_NAME).write_text(text, encoding="utf-8")
        if isinstance(report, EvaluationReport):
            write_evaluation_csv(report, staging)
            draw_evaluation(report, staging)
            templates = {"report.html": "evaluation.html"}
        else:
            write_comparison_csv(report, staging)
            draw_comparison(report, staging)
            templates = {
                "report.html": "comparison.html",
                "tables.md": "tables.md",
                "tables.tex": "tables.tex",
            }
        for name, template in templates.items():
            text = render(template, tables, report, staging)
            (staging / name).write_text(text, encoding="utf-8")


def report_json(report: AnyReport) -> dict[str, object]:
    """Everything of the report that is a figure or a fact, ready for ``json.dumps``."""
    if isinstance(report, EvaluationReport):
        return evaluation_json(report)
    return comparison_json(report)


def print_report(report: AnyReport, console: Console | None = None) -> None:
    """The tables on stdout, without the warnings that stderr has had before the scoring."""
    console = console or Console()
    if console.width < _NARROWEST and not console.is_terminal:
        console = Console(file=console.file, width=_NARROWEST)
    for table in _tables(report, most_compared=_MOST_COMPARED):
        console.print(as_rich(table))
    for note in report.notes:
        if note not in report.warnings:
            console.print(f"Note: {note}.", highlight=False, soft_wrap=True, markup=False)


def _tables(report: AnyReport, most_compared: int = 9) -> tuple[Table, ...]:
    if isinstance(report, EvaluationReport):
        return evaluation_tables(report)
    return comparison_tables(report, most_compared=most_compared)
