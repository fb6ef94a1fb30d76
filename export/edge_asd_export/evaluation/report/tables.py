"""The figures of a report as rows, JSON and terminal tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_asd_export.evaluation.evaluate import FUSED, MachineEvaluation
from edge_asd_export.evaluation.published import CAVEAT, PublishedSystem, published_for
from edge_asd_export.evaluation.report.content import Report

__all__ = [
    "as_json",
    "percent",
    "precisions",
    "print_tables",
    "totals_only",
    "triple",
    "write_results_csv",
]

Row = dict[str, str | int | float | None]

_NARROWEST = 100  # columns that the tables need; a pipe reports 80
_DECIDED = ("precision", "recall", "f1", "false_alarm_rate")


def write_results_csv(report: Report, path: Path) -> None:
    """One row per machine and kind of score, below a header."""
    rows = list(_result_rows(report))
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def as_json(report: Report) -> dict[str, object]:
    """Everything of the report that is a figure or a fact, ready for ``json.dumps``."""
    manifest = report.manifest
    known = published_for(machine.machine for machine in report.evaluation.machines)
    return {
        "created_utc": report.created_utc,
        "data": [str(folder) for folder in report.data],
        "versions": report.versions,
        "bundle": {
            "path": str(report.bundle),
            "name": manifest.name,
            "system": manifest.system,
            "target": manifest.target,
            "created_utc": manifest.created_utc,
            "precision": precisions(report),
            "tools": manifest.tools,
        },
        "official": {
            kind: {"score": value.score, "std": value.std}
            for kind, value in report.evaluation.official.items()
        },
        "official_machines": [machine.machine for machine in report.evaluation.measured],
        "machines": {
            machine.machine: _machine_json(report, machine)
            for machine in report.evaluation.machines
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
                for system in known
            ],
        },
        "notes": list(report.notes),
    }


def print_tables(report: Report, console: Console | None = None) -> None:
    """The figures on stdout, without the warnings that stderr has had before the scoring."""
    console = console or Console()
    if console.width < _NARROWEST and not console.is_terminal:
        console = Console(file=console.file, width=_NARROWEST)
    if report.evaluation.official:
        console.print(_figures_table(report))
    known = published_for(machine.machine for machine in report.evaluation.machines)
    if known:
        console.print(_published_table(report, known))
        console.print(f"Totals only: {totals_only(known)}.", highlight=False, soft_wrap=True)
        console.print(f"Note: {CAVEAT}.", highlight=False, soft_wrap=True)
    for note in report.notes[len(report.warnings) :]:
        console.print(f"Note: {escape(note)}.", highlight=False, soft_wrap=True)


def percent(value: float) -> str:
    """A fraction in percent, as the challenge's tables print it."""
    return f"{100 * value:.2f}"


def triple(values: tuple[float, float, float] | None) -> str:
    """AUC source, AUC target and pAUC, given in percent, in one cell."""
    return "/".join(f"{value:.2f}" for value in values) if values else "–"


def totals_only(known: Iterable[PublishedSystem]) -> str:
    """The published systems without a table of machines, by publication."""
    by_citation: dict[str, list[str]] = {}
    for system in known:
        if not system.machines:
            stated = by_citation.setdefault(system.citation, [])
            stated.append(f"{system.name} {system.official:.2f}")
    return "; ".join(f"{', '.join(stated)} ({where})" for where, stated in by_citation.items())


def precisions(report: Report) -> dict[str, str]:
    """Precision of each extractor's encoder."""
    extractors = report.manifest.extractors
    return {name: extractor.encoder.precision for name, extractor in extractors.items()}


def _result_rows(report: Report) -> Iterator[Row]:
    """One flat row per machine and kind of score, fractions unrounded, None where undefined."""
    for machine in report.evaluation.machines:
        for kind, figures in machine.figures.items():
            metrics = figures.metrics
            row: Row = {
                "machine": machine.machine,
                "scores": kind,
                "n_clips": machine.n_clips,
                "auc_source": metrics.auc_source,
                "auc_target": metrics.auc_target,
                "pauc": metrics.pauc,
                "auc_all": metrics.auc_all,
                "hmean": metrics.hmean,
                "hmean_std": figures.hmean_std,
            }
            for domain in ("all", "source", "target"):
                decided = machine.decisions.get(domain) if kind == FUSED else None
                for name in _DECIDED:
                    row[f"{name}_{domain}"] = getattr(decided, name) if decided else None
            yield row


def _machine_json(report: Report, machine: MachineEvaluation) -> dict[str, object]:
    spec = report.manifest.machines[machine.machine]
    return {
        "n_clips": machine.n_clips,
        "composition": dict(machine.composition),
        "skipped": machine.skipped,
        "figures": {
            kind: {
                **asdict(figures.metrics),
                "hmean": figures.metrics.hmean,
                "hmean_std": figures.hmean_std,
            }
            for kind, figures in machine.figures.items()
        },
        "decisions": {domain: asdict(value) for domain, value in machine.decisions.items()},
        "threshold": spec.threshold.model_dump(mode="json"),
        "fusion": spec.fusion.model_dump(mode="json"),
    }


def _figures_table(report: Report) -> Table:
    table = Table(title=f"{escape(report.manifest.name)}, in percent", box=SIMPLE_HEAD)
    table.add_column("machine", no_wrap=True)
    table.add_column("scores", no_wrap=True)
    for heading in (
        "AUC\nsource",
        "AUC\ntarget",
        "pAUC",
        "hmean",
        "sd",
        "false\nalarms",
        "detected",
    ):
        table.add_column(heading, justify="right")
    for machine in report.evaluation.measured:
        name = escape(machine.machine)
        for kind, figures in machine.figures.items():
            metrics = figures.metrics
            decided = machine.decisions.get("all") if kind == FUSED else None
            table.add_row(
                name,
                escape(kind),
                *(percent(value) for value in metrics.official),
                percent(metrics.hmean),
                percent(figures.hmean_std),
                percent(decided.false_alarm_rate) if decided else "",
                percent(decided.recall) if decided else "",
                style="bold" if kind == FUSED else "",
            )
            name = ""
        table.add_section()
    for kind, official in report.evaluation.official.items():
        table.add_row(
            "official score" if kind == FUSED else "",
            escape(kind),
            "",
            "",
            "",
            percent(official.score),
            percent(official.std),
            style="bold" if kind == FUSED else "",
        )
    return table


def _published_table(report: Report, known: tuple[PublishedSystem, ...]) -> Table:
    """The published rows of the machines at hand, then the published totals of all seven."""
    detailed = [system for system in known if system.machines]
    table = Table(
        title="Published: AUC source/AUC target/pAUC, in percent",
        box=SIMPLE_HEAD,
    )
    table.add_column("machine", no_wrap=True)
    for system in detailed:
        table.add_column(system.name, justify="right", overflow="fold")
    for machine in report.evaluation.machines:
        if any(machine.machine in system.machines for system in detailed):
            cells = (triple(system.machines.get(machine.machine)) for system in detailed)
            table.add_row(escape(machine.machine), *cells)
    table.add_section()
    table.add_row("total, as stated", *(f"{system.official:.2f}" for system in detailed))
    table.add_row("from its rows", *(f"{system.recomputed:.2f}" for system in detailed))
    return table
