"""The HTML page of a comparison: one file that needs no network and no scripts."""

from __future__ import annotations

from collections.abc import Sequence

from edge_asd_export.evaluation.report.comparison.content import ComparisonReport
from edge_asd_export.evaluation.report.comparison.pictures import ComparisonPictures
from edge_asd_export.evaluation.report.comparison.table import Table
from edge_asd_export.evaluation.report.comparison.tables import row_label
from edge_asd_export.evaluation.report.html import page_environment
from edge_asd_export.evaluation.report.tables import percent, totals_only

__all__ = ["render_html"]


def render_html(
    report: ComparisonReport, tables: Sequence[Table], pictures: ComparisonPictures
) -> str:
    """The page, with the pictures inside."""
    environment = page_environment()
    environment.filters.update(percent=percent, label=row_label)
    return environment.get_template("comparison/comparison.html.j2").render(
        report=report,
        comparison=report.comparison,
        tables={table.name: table for table in tables},
        pictures=pictures,
        totals_only=totals_only(report.beside.systems),
        citation=next((s.citation for s in report.beside.systems if s.machines), ""),
    )
