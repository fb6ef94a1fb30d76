"""``edge-asd compare``: which system is best on these recordings, and by how much?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asd.bundle.bundle import Bundle
    from edge_asd_export.evaluation.compare import ScoredBundle
    from edge_asd_export.evaluation.score_clips import MachineTestSet

__all__ = ["compare"]


def compare(
    data: Annotated[
        list[Path],
        typer.Option(help="Folder of machine folders with `test` clips; may be repeated."),
    ],
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
    out: Annotated[
        Path, typer.Option(help="Folder of the report; an earlier report there is replaced.")
    ] = Path("reports/compare"),
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Folder with `ground_truth_data` and `ground_truth_domain` of the challenge's "
            "evaluator, for anonymous clips."
        ),
    ] = None,
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
    threads: Annotated[int, typer.Option(min=1, help="Threads of ONNX Runtime.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of tables.")
    ] = False,
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
    import json
    from datetime import UTC, datetime

    from edge_asd.bundle.bundle import Bundle
    from edge_asd_export.data.clips import scan
    from edge_asd_export.evaluation.compare import compare as compare_systems
    from edge_asd_export.evaluation.compare import has_repetitions
    from edge_asd_export.evaluation.compared_bundles import name_bundles, plan_comparison
    from edge_asd_export.evaluation.published import published_beside
    from edge_asd_export.evaluation.report import require_replaceable
    from edge_asd_export.evaluation.report.comparison import (
        ComparisonReport,
        print_comparison,
        write_comparison,
    )
    from edge_asd_export.evaluation.report.comparison.files import as_json as report_as_json
    from edge_asd_export.evaluation.report.content import measured_with

    require_replaceable(out)
    inventory = scan(data, read_samples=False)
    paths = [*(bundles or []), *(path for one in run or [] for path in _exported(one))]
    opened = {name: Bundle.open(path) for name, path in name_bundles(paths).items()}
    if average and not has_repetitions(bundle.manifest for bundle in opened.values()):
        raise UsageError("--average needs two bundles of one system, its networks and precision")
    test_sets, warnings = plan_comparison(
        inventory,
        {name: bundle.manifest for name, bundle in opened.items()},
        ground_truth=ground_truth,
    )
    beside = published_beside([one.machine for one in test_sets], wanted=published)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    scored = tuple(_scored(name, bundle, test_sets, threads) for name, bundle in opened.items())
    report = ComparisonReport(
        comparison=compare_systems(scored),
        bundles=scored,
        data=tuple(data),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=measured_with(),
        beside=beside,
        repeated=average,
        warnings=warnings,
    )
    write_comparison(report, out)
    if as_json:
        typer.echo(json.dumps(report_as_json(report), indent=2, ensure_ascii=False))
    else:
        print_comparison(report)
    typer.echo(f"report: {out / 'report.html'}", err=True)


def _exported(path: Path) -> Sequence[Path]:
    """Bundles of a run's finished systems, made now unless they are there."""
    from functools import partial

    from edge_asd_export.evaluation.run_bundles import export_systems
    from edge_asd_export.progress import progress_bar
    from edge_asd_export.training.run import Run

    return export_systems(
        Run.open(path.resolve()),
        lambda text: typer.echo(text, err=True),
        partial(progress_bar, "embedding clips"),
    )


def _scored(
    name: str, bundle: Bundle, test_sets: Sequence[MachineTestSet], threads: int
) -> ScoredBundle:
    from edge_asd_export.evaluation.compare import ScoredBundle
    from edge_asd_export.evaluation.score_clips import score_bundle
    from edge_asd_export.progress import scoring_bar

    with scoring_bar(sum(len(one.clips) for one in test_sets)) as advance:
        clips = score_bundle(
            bundle,
            test_sets,
            threads=threads,
            advance=lambda machine: advance(f"{name}, {machine}"),
        )
    return ScoredBundle(name, bundle.path, bundle.manifest, clips)
