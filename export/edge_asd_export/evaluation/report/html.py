"""The HTML page of a report: one file that needs no network and no scripts."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edge_asd_export.evaluation.evaluate import FUSED
from edge_asd_export.evaluation.published import CAVEAT, published_for
from edge_asd_export.evaluation.report.content import Report
from edge_asd_export.evaluation.report.pictures import Pictures
from edge_asd_export.evaluation.report.tables import percent, precisions, totals_only, triple

__all__ = ["page_environment", "render_html"]


def render_html(report: Report, pictures: Pictures) -> str:
    """The page, with the pictures inside."""
    environment = page_environment()
    environment.filters.update(percent=percent, triple=triple)
    known = published_for(machine.machine for machine in report.evaluation.machines)
    return environment.get_template("report.html.j2").render(
        FUSED=FUSED,
        report=report,
        manifest=report.manifest,
        evaluation=report.evaluation,
        pictures=pictures,
        precisions=precisions(report),
        published=[system for system in known if system.machines],
        published_totals=totals_only(known),
        caveat=CAVEAT,
    )


def page_environment() -> Environment:
    """The templates of this package, with the filter ``picture`` of a path."""
    environment = Environment(
        loader=PackageLoader("edge_asd_export.evaluation.report", "."),
        autoescape=True,  # machine and bundle names come from folders and files of others
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["picture"] = _picture
    return environment


def _picture(path: Path) -> str:
    """The picture as a data address."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
