"""The report of one evaluation: a folder of CSV, JSON and PNG files and one HTML page."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from edge_asd.errors import UsageError
from edge_asd_export.bundling.atomic_folder import atomic_folder
from edge_asd_export.evaluation.challenge_csv import write_challenge_csv
from edge_asd_export.evaluation.evaluate import FUSED
from edge_asd_export.evaluation.report.content import Report
from edge_asd_export.evaluation.report.html import render_html
from edge_asd_export.evaluation.report.pictures import write_pictures
from edge_asd_export.evaluation.report.tables import as_json, write_results_csv

__all__ = ["Report", "require_replaceable", "write_report"]

RESULTS_NAME = "results.json"


def require_replaceable(folder: Path) -> None:
    """Nothing when a report may be written at `folder`: it is new, empty, or a report.

    Raises
    ------
    UsageError
        When something else is there, which would be lost.
    """
    if not folder.exists():
        return
    is_report = (folder / RESULTS_NAME).is_file()
    if not folder.is_dir() or (not is_report and any(folder.iterdir())):
        raise UsageError(
            f"{folder} exists and is not a report of an evaluation; give another --out"
        )


def write_report(report: Report, folder: Path) -> None:
    """All files of the report in `folder`, which appears complete or not at all.

    An earlier report there is replaced.

    Raises
    ------
    UsageError
        When `folder` holds something else than a report.
    DataError
        When the folder cannot be written.
    """
    with atomic_folder(folder, RESULTS_NAME) as staging:
        _write_files(report, staging)


def _write_files(report: Report, folder: Path) -> None:
    for test_set, scored in zip(report.test_sets, report.scored, strict=True):
        threshold = report.manifest.machines[test_set.machine].threshold.threshold
        rows = zip(test_set.clips, scored.scores[FUSED], strict=True)
        for section, part in groupby(rows, key=lambda row: row[0].section):
            clips, scores = zip(*part, strict=True)
            write_challenge_csv(
                folder,
                test_set.machine,
                section,
                [clip.path.stem for clip in clips],
                scores,
                threshold,
            )
    write_results_csv(report, folder / "results.csv")
    text = json.dumps(as_json(report), indent=2, ensure_ascii=False)
    (folder / RESULTS_NAME).write_text(text + "\n", encoding="utf-8")
    pictures = write_pictures(report, folder)
    (folder / "report.html").write_text(render_html(report, pictures), encoding="utf-8")
