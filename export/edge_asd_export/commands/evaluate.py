"""``edge-asd evaluate``: how well does this bundle tell faults from normal sound?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

__all__ = ["evaluate"]


def evaluate(
    data: Data,
    bundle: Annotated[Path, typer.Option(help="Bundle to measure.")] = Path("bundles/latest"),
    out: Out = Path("reports/latest"),
    ground_truth: GroundTruth = None,
    threads: Threads = 1,
    as_json: Json = False,
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
    from edge_asd_export.data.clips import scan
    from edge_asd_export.evaluation.evaluate import evaluate_scores
    from edge_asd_export.evaluation.report import EvaluationReport, require_replaceable
    from edge_asd_export.evaluation.test_sets import plan_test_sets

    require_replaceable(out)
    opened = open_bundles([bundle])
    test_sets, warnings = plan_test_sets(
        scan(data, read_samples=False),
        {name: one.manifest for name, one in opened.items()},
        ground_truth=ground_truth,
    )
    scored = score(opened, test_sets, warnings, threads)
    report = EvaluationReport(
        bundles=scored,
        data=tuple(data),
        warnings=warnings,
        test_sets=test_sets,
        evaluation=evaluate_scores(scored[0].machines),
    )
    finish(report, out, as_json=as_json)
