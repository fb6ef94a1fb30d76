"""``edge-asd check``: may this bundle be trusted on this computer?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_asd.commands.options import LATEST_BUNDLE, ThreadsOption

__all__ = ["check"]


def check(
    bundle: Annotated[Path, typer.Argument(help="Bundle to verify.")] = LATEST_BUNDLE,
    threads: ThreadsOption = 1,
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
    from rich.console import Console
    from rich.table import Table

    from edge_asd.bundle.check import check_bundle

    table = Table("verified", "found")
    try:
        for finding in check_bundle(bundle, threads=threads):
            table.add_row(finding.what, finding.detail)
    finally:
        if table.rows:
            Console(markup=False, emoji=False).print(table)  # names may hold brackets
