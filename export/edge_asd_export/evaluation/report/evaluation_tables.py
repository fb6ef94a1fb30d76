"""The tables of an evaluation, in percent as the challenge prints them."""

from __future__ import annotations

from edge_asd_export.evaluation.evaluate import FUSED, MachineEvaluation
from edge_asd_export.evaluation.published import CAVEAT, totals_only
from edge_asd_export.evaluation.report.content import EvaluationReport
from edge_asd_export.table import Column, Row, Table, percent, triple

__all__ = ["decisions_table", "evaluation_tables"]


def evaluation_tables(report: EvaluationReport) -> tuple[Table, ...]:
    """The figures of every kind of score, and the published ones beside them."""
    figures = (_figures_table(report),) if report.evaluation.official else ()
    published = (_published_table(report),) if report.published else ()
    return figures + published


def decisions_table(machine: MachineEvaluation) -> Table:
    """What the threshold makes of a machine's clips."""
    columns = ("precision", "recall", "F1", "false alarms")
    shares = {
        domain: (one.precision, one.recall, one.f1, one.false_alarm_rate)
        for domain, one in machine.decisions.items()
    }
    return Table(
        "decisions",
        machine.machine,
        (Column("at the threshold", is_text=True), *map(Column, columns)),
        (tuple(Row((domain, *map(percent, values))) for domain, values in shares.items()),),
    )


def _figures_table(report: EvaluationReport) -> Table:
    headings = ("AUC source", "AUC target", "pAUC", "hmean", "sd", "false alarms", "detected")

    def line(machine: MachineEvaluation, kind: str, name: str) -> Row:
        metrics, std = machine.figures[kind].metrics, machine.figures[kind].hmean_std
        decided = machine.decisions.get("all") if kind == FUSED else None
        shares = (decided.false_alarm_rate, decided.recall) if decided else ()
        cells = [percent(value) for value in (*metrics.official, metrics.hmean, std, *shares)]
        return Row((name, kind, *cells, *([] if decided else ["", ""])), strong=kind == FUSED)

    groups = [
        tuple(line(machine, kind, "" if i else machine.machine) for i, kind in enumerate(kinds))
        for machine in report.evaluation.measured
        for kinds in (machine.figures,)
    ]
    totals = []
    for kind, official in report.evaluation.official.items():
        name = "official score" if kind == FUSED else ""
        figures = (percent(official.score), percent(official.std))
        totals.append(Row((name, kind, "", "", "", *figures, "", ""), strong=kind == FUSED))
    return Table(
        "figures",
        f"{report.bundle.manifest.name}, in percent",
        (Column("machine", is_text=True), Column("scores", is_text=True), *map(Column, headings)),
        (*groups, tuple(totals)),
    )


def _published_table(report: EvaluationReport) -> Table:
    """The published rows of the machines at hand, then the published totals of all seven."""
    detailed = [system for system in report.published if system.machines]
    names = [machine.machine for machine in report.evaluation.machines]
    rows = tuple(
        Row((name, *(triple(system.machines.get(name)) for system in detailed)))
        for name in names
        if any(name in system.machines for system in detailed)
    )
    totals = (
        Row(("total, as stated", *(f"{system.official:.2f}" for system in detailed))),
        Row(("from its rows", *(f"{system.recomputed:.2f}" for system in detailed))),
    )
    return Table(
        "published",
        "Published: AUC source/AUC target/pAUC, in percent",
        (Column("machine", is_text=True), *(Column(system.name) for system in detailed)),
        (rows, totals),
        f"Totals only: {totals_only(report.published)}.",
        CAVEAT,
    )
