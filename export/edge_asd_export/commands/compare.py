"""``edge-asd compare``: which system is best on these recordings, and by how much?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edge_asd.errors import UsageError
from edge_asd_export.commands.measuring import (
    Data,
    GroundTruth,
    Json,
    Out,
    Threads,
    finish,
    open_bundles,
    score,
)

__all__ = ["compare"]


def compare(
    data: Data,
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BUNDLE]...", help="Bundles to compare.", show_default=False),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder whose finished systems are exported to its folder `bundles` and "
            "compared too; may be repeated.",
            show_default=False,
        ),
    ] = None,
    out: Out = Path("reports/compare"),
    ground_truth: GroundTruth = None,
    average: Annotated[
        bool,
        typer.Option(
            "--average",
            help="Also show the mean and standard deviation over bundles: those that differ only "
            "in the seed of their training.",
        ),
    ] = False,
    published: Annotated[
        bool | None,
        typer.Option(
            "--published/--no-published",
            help="Show the figures published for the DCASE 2026 development set beside.  "
            "[default: when every machine is named in them]",
            show_default=False,
        ),
    ] = None,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Compare systems on labelled recordings.

    Scores every bundle once, exactly as the device does, and shows every system in it: a bundle
    of `system3` also holds `system1`, `system2` and `system4`, with the weights that bundles of
    their own would have. Nothing is trained or fitted. Prints the official score of each system,
    the AUC source, AUC target and pAUC of each machine, the official score with some models or
    microphones alone, and differences with a paired bootstrap.

    The report folder gets `report.html` (one file, opens anywhere), `tables.md` and `tables.tex`
    for a paper, one CSV file per table, the pictures and `results.json`.

    Examples

        edge-asd compare --data recordings bundles/a bundles/b

        edge-asd compare --data recordings --run runs/latest

        edge-asd compare --data dev_data --run runs/seed0 --run runs/seed1 --average --published
    """
    from edge_asd_export.data.clips import scan
    from edge_asd_export.evaluation.compare import compare as compare_systems
    from edge_asd_export.evaluation.compare import has_repetitions
    from edge_asd_export.evaluation.published import published_beside
    from edge_asd_export.evaluation.report import ComparisonReport, require_replaceable
    from edge_asd_export.evaluation.test_sets import plan_test_sets

    require_replaceable(out)
    inventory = scan(data, read_samples=False)
    exported = [path for one in run or [] for path in _exported(one)]
    opened = open_bundles([*(bundles or []), *exported])
    manifests = {name: bundle.manifest for name, bundle in opened.items()}
    if average and not has_repetitions(manifests.values()):
        raise UsageError("--average needs two bundles of one system, its networks and precision")
    test_sets, warnings = plan_test_sets(
        inventory, manifests, ground_truth=ground_truth, need_figures=True
    )
    beside = published_beside([one.machine for one in test_sets], wanted=published)
    scored = score(opened, test_sets, warnings, threads)
    report = ComparisonReport(
        bundles=scored,
        data=tuple(data),
        warnings=warnings,
        comparison=compare_systems(scored),
        beside=beside,
        repeated=average,
    )
    finish(report, out, as_json=as_json)


def _exported(path: Path) -> tuple[Path, ...]:
    """Bundles of a run's finished systems, made now unless they are there."""
    from edge_asd_export.evaluation.run_bundles import export_systems
    from edge_asd_export.progress import progress_bar
    from edge_asd_export.training.run import Run

    return export_systems(
        Run.open(path.resolve()),
        lambda text: typer.echo(text, err=True),
        partial(progress_bar, "embedding clips"),
    )
