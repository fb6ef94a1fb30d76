"""The figures of an evaluation, unrounded: as CSV rows and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from edge_asd_export.evaluation.challenge_csv import write_challenge_csv
from edge_asd_export.evaluation.evaluate import FUSED, MachineEvaluation
from edge_asd_export.evaluation.published import CAVEAT
from edge_asd_export.evaluation.report.content import EvaluationReport, bundles_json
from edge_asd_export.evaluation.score_clips import STATED_RATES
from edge_asd_export.table import CsvRow, write_csv

__all__ = ["evaluation_json", "write_evaluation_csv"]

_DECIDED = ("precision", "recall", "f1", "false_alarm_rate")


def write_evaluation_csv(report: EvaluationReport, folder: Path) -> None:
    """Write ``results.csv`` and the challenge's two files of each machine and section."""
    write_csv(folder / "results.csv", list(_records(report)))
    bundle = report.bundle
    for test_set, scored in zip(report.test_sets, bundle.machines, strict=True):
        threshold = bundle.manifest.machines[test_set.machine].threshold.threshold
        rows = zip(test_set.clips, scored.scores[FUSED], strict=True)
        for section, part in groupby(rows, key=lambda row: row[0].section):
            clips, scores = zip(*part, strict=True)
            names = [clip.path.stem for clip in clips]
            write_challenge_csv(folder, test_set.machine, section, names, scores, threshold)


def evaluation_json(report: EvaluationReport) -> dict[str, object]:
    """Everything of the report that is a figure or a fact, ready for ``json.dumps``."""
    bundle, evaluation = report.bundle, report.evaluation
    (facts,) = bundles_json(report.bundles).values()
    return {
        "created_utc": report.created_utc,
        "data": [str(folder) for folder in report.data],
        "versions": report.versions,
        "bundle": facts
        | {
            "precision": {
                name: extractor.encoder.precision
                for name, extractor in bundle.manifest.extractors.items()
            }
        },
        "official": {
            kind: {"score": value.score, "std": value.std}
            for kind, value in evaluation.official.items()
        },
        "stated": {
            f"{rate:g}": {"false_alarm_rate": false_alarms, "recall": hits}
            for rate, (false_alarms, hits) in evaluation.stated.items()
        },
        "official_machines": [machine.machine for machine in evaluation.measured],
        "machines": {
            machine.machine: _machine_json(machine)
            | bundle.manifest.machines[machine.machine].model_dump(
                mode="json", include={"threshold", "promise", "fusion"}
            )
            for machine in evaluation.machines
        },
        "published": {
            "caveat": CAVEAT,
            "systems": [
                {
                    "name": system.name,
                    "citation": system.citation,
                    "official_percent": system.official,
                    "recomputed_percent": system.recomputed,
                    "machines_percent": dict(system.machines),
                }
                for system in report.published
            ],
        },
        "notes": list(report.notes),
    }


def _records(report: EvaluationReport) -> Iterator[CsvRow]:
    """One flat row per machine and kind of score, fractions unrounded, None where undefined."""
    for machine in report.evaluation.machines:
        for kind, figures in machine.figures.items():
            decided = machine.decisions if kind == FUSED else {}
            stated = machine.stated if kind == FUSED else {}
            yield {
                "machine": machine.machine,
                "scores": kind,
                "n_clips": machine.n_clips,
                **figures.numbers(),
                **{
                    f"{name}_{domain}": getattr(decided.get(domain), name, None)
                    for domain in ("all", "source", "target")
                    for name in _DECIDED
                },
                **{
                    f"{name}_at_{rate:g}": getattr(stated.get(rate), name, None)
                    for rate in STATED_RATES
                    for name in ("false_alarm_rate", "recall")
                },
            }


def _machine_json(machine: MachineEvaluation) -> dict[str, object]:
    return {
        "n_clips": machine.n_clips,
        "composition": dict(machine.composition),
        "skipped": machine.skipped,
        "figures": {kind: figures.numbers() for kind, figures in machine.figures.items()},
        "decisions": {domain: asdict(value) for domain, value in machine.decisions.items()},
        "stated": {f"{rate:g}": asdict(value) for rate, value in machine.stated.items()},
    }
