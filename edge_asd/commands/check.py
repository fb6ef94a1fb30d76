"""``edge-asd check``: may this bundle be trusted on this computer?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_asd.commands import options

__all__ = ["check"]


def check(
    bundle: Annotated[Path, typer.Argument(help="Bundle to verify.")] = options.LATEST_BUNDLE,
    threads: options.Threads = 1,
) -> None:
    """Verify a bundle on this computer.

    Compares every file with its digest, the graphs and memory banks with the manifest, and
    scores the golden windows inside the bundle: this computer must repeat their embeddings and
    scores. Run it once after copying a bundle and after every update of the system.

    Exit code: 0 everything agrees, 1 something does not; the last line on stderr says what.

    Examples

        edge-asd check

        edge-asd check bundles/pumps
    """
    from edge_asd.bundle.proof import check_in_child
    from edge_asd.commands import tables

    table = tables.table("verified", "found")
    try:
        for finding in check_in_child(bundle, threads=threads):
            table.add_row(finding.what, finding.detail)
    finally:
        if table.rows:
            tables.plain_console().print(table)
    typer.echo("everything agrees: this computer gives the scores of the bundle", err=True)
