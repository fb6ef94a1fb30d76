"""The HTML page of a report: one file that needs no network and no scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edge_asd_export.evaluation.evaluate import FUSED
from edge_asd_export.evaluation.published import totals_only
from edge_asd_export.evaluation.report.comparison_tables import kind_label
from edge_asd_export.evaluation.report.content import ComparisonReport, EvaluationReport
from edge_asd_export.evaluation.report.evaluation_tables import decisions_table
from edge_asd_export.table import Table, percent

__all__ = ["render_html"]


def render_html(
    report: EvaluationReport | ComparisonReport, tables: Sequence[Table], folder: Path
) -> str:
    """The page, with the pictures of `folder` inside."""
    environment = Environment(
        loader=PackageLoader("edge_asd_export.evaluation.report", "."),
        autoescape=True,  # machine and bundle names come from folders and files of others
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def picture(name: str) -> str:
        """The picture as a data address; empty where it was not drawn."""
        path = folder / f"{name}.png"
        if not path.is_file():
            return ""
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"

    environment.filters.update(percent=percent, label=kind_label, picture=picture)
    environment.filters.update(decisions=decisions_table, totals_only=totals_only)
    name = "evaluation" if isinstance(report, EvaluationReport) else "comparison"
    return environment.get_template(f"{name}.html.j2").render(
        FUSED=FUSED, report=report, tables={table.name: table for table in tables}
    )
