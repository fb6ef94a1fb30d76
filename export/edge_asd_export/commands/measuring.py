"""What `evaluate` and `compare` share: options, and the way from bundles to a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_asd.bundle.bundle import Bundle
    from edge_asd_export.evaluation.report import AnyReport
    from edge_asd_export.evaluation.score_clips import ScoredBundle
    from edge_asd_export.evaluation.test_sets import MachineTestSet

__all__ = ["Data", "GroundTruth", "Json", "Out", "Threads", "finish", "open_bundles", "score"]

Data = Annotated[
    list[Path],
    typer.Option("--data", help="Folder of machine folders with `test` clips; may be repeated."),
]
Out = Annotated[
    Path, typer.Option("--out", help="Folder of the report; an earlier report there is replaced.")
]
GroundTruth = Annotated[
    Path | None,
    typer.Option(
        "--ground-truth",
        help="Folder with `ground_truth_data` and `ground_truth_domain` of the challenge's "
        "evaluator, for anonymous clips.",
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of ONNX Runtime.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of tables.")]


def open_bundles(paths: Sequence[Path]) -> dict[str, Bundle]:
    """Verified bundles by what tells them apart."""
    from edge_asd.bundle.proof import open_proven
    from edge_asd_export.evaluation.test_sets import name_bundles

    return {name: open_proven(path) for name, path in name_bundles(paths).items()}


def score(
    bundles: Mapping[str, Bundle],
    test_sets: Sequence[MachineTestSet],
    warnings: Sequence[str],
    threads: int,
) -> tuple[ScoredBundle, ...]:
    """Tell the warnings, then score all clips by every bundle."""
    from edge_asd_export.evaluation.score_clips import score_bundle
    from edge_asd_export.progress import scoring_bar

    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    with scoring_bar(len(bundles) * sum(len(one.clips) for one in test_sets)) as advance:
        return tuple(
            score_bundle(name, bundle, test_sets, threads=threads, advance=advance)
            for name, bundle in bundles.items()
        )


def finish(report: AnyReport, out: Path, *, as_json: bool) -> None:
    """Write the report, print its tables or its JSON, and say where it is."""
    from edge_asd_export.evaluation.report import print_report, report_json, write_report

    write_report(report, out)
    if as_json:
        typer.echo(json.dumps(report_json(report), indent=2, ensure_ascii=False))
    else:
        print_report(report)
    typer.echo(f"report: {out / 'report.html'}", err=True)
