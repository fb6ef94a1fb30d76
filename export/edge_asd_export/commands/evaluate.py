"""``edge-asd evaluate``: how well does this bundle tell faults from normal sound?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asd.bundle import Bundle
    from edge_asd_export.evaluate import ScoredClips
    from edge_asd_export.score_clips import MachineTestSet

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

    from edge_asd.bundle import Bundle
    from edge_asd_export.clips import scan
    from edge_asd_export.evaluate import evaluate_scores
    from edge_asd_export.report import Report, require_replaceable, write_report
    from edge_asd_export.report.tables import as_json as report_as_json
    from edge_asd_export.report.tables import print_tables
    from edge_asd_export.score_clips import plan_machines

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
    scored = _score_all(opened, test_sets, threads)
    report = Report(
        bundle=bundle,
        manifest=opened.manifest,
        data=tuple(data),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_versions(),
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


def _score_all(
    bundle: Bundle, test_sets: Sequence[MachineTestSet], threads: int
) -> tuple[ScoredClips, ...]:
    """Score every test set, with a bar on stderr; machines share the loaded graphs."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from edge_asd_export.score_clips import score_machine

    extractors = bundle.extractors(threads=threads)
    scored = []
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=sum(len(test_set.clips) for test_set in test_sets))
        for test_set in test_sets:
            progress.update(task, description=f"scoring {test_set.machine}")
            detector = bundle.detector(test_set.machine, extractors=extractors)
            scored.append(
                score_machine(
                    detector,
                    test_set,
                    hop_s=detector.hop_s,
                    threshold=detector.spec.threshold.threshold,
                    advance=lambda: progress.advance(task),
                )
            )
    return tuple(scored)


def _versions() -> dict[str, str]:
    """What measured: this program and the libraries that the figures depend on."""
    from importlib.metadata import version
    from platform import python_version

    from edge_asd import __version__

    return {
        "edge-asd": __version__,
        "python": python_version(),
        **{name: version(name) for name in ("numpy", "onnxruntime", "scikit-learn")},
    }
