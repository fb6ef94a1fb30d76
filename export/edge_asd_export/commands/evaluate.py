"""``edge-asd evaluate``: how well does this bundle tell faults from normal sound?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    data: Annotated[
        list[Path],
        typer.Option(help="Folder of machine folders with `test` clips; may be repeated."),
    ],
    bundle: Annotated[Path, typer.Option(help="Bundle to measure.")] = Path("bundles/latest"),
    out: Annotated[
        Path, typer.Option(help="Folder of the report; an earlier report there is replaced.")
    ] = Path("reports/latest"),
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Folder with `ground_truth_data` and `ground_truth_domain` of the challenge's "
            "evaluator, for anonymous clips."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of ONNX Runtime.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of tables.")
    ] = False,
) -> None:
    """Measure a bundle on labelled recordings.

    Scores every test clip exactly as the device does and prints AUC source, AUC target and pAUC
    of each machine, for the fused score and for each branch alone, and the official score of the
    DCASE 2026 challenge: the harmonic mean over machines of the three. It also shows how often
    the bundle's threshold is passed by normal and by anomalous clips.

    The report folder gets `report.html` (one file, opens anywhere), the pictures, `results.json`,
    `results.csv`, and for each machine the challenge's two CSV files. Clips without labels are
    scored and decided, but not measured.

    Examples

        edge-asd evaluate --data recordings

        edge-asd evaluate --data dev_data --data eval_data --bundle bundles/pumps --out reports/a

        edge-asd evaluate --data eval_data --ground-truth evaluator --json > results.json
    """
    import json
    from datetime import UTC, datetime

    from edge_asd.bundle.bundle import Bundle
    from edge_asd_export.data.clips import scan
    from edge_asd_export.evaluation.evaluate import evaluate_scores
    from edge_asd_export.evaluation.report import Report, require_replaceable, write_report
    from edge_asd_export.evaluation.report.content import measured_with
    from edge_asd_export.evaluation.report.tables import as_json as report_as_json
    from edge_asd_export.evaluation.report.tables import print_tables
    from edge_asd_export.evaluation.score_clips import plan_machines, score_bundle
    from edge_asd_export.progress import scoring_bar

    require_replaceable(out)
    opened = Bundle.open(bundle)
    test_sets, warnings = plan_machines(
        scan(data, read_samples=False),
        opened.manifest.machines,
        sample_rate_hz=opened.manifest.sample_rate_hz,
        ground_truth=ground_truth,
    )
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    with scoring_bar(sum(len(test_set.clips) for test_set in test_sets)) as advance:
        scored = score_bundle(opened, test_sets, threads=threads, advance=advance)
    report = Report(
        bundle=bundle,
        manifest=opened.manifest,
        data=tuple(data),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=measured_with(),
        test_sets=test_sets,
        scored=scored,
        evaluation=evaluate_scores(scored),
        warnings=warnings,
    )
    write_report(report, out)
    if as_json:
        typer.echo(json.dumps(report_as_json(report), indent=2, ensure_ascii=False))
    else:
        print_tables(report)
    typer.echo(f"report: {out / 'report.html'}", err=True)
