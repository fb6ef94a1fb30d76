"""The tables of an evaluation, in percent as the challenge prints them."""

from __future__ import annotations

from edge_asd_export.evaluation.evaluate import FUSED, MachineEvaluation
from edge_asd_export.evaluation.published import CAVEAT, totals_only
from edge_asd_export.evaluation.report.content import EvaluationReport
from edge_asd_export.table import Row, Table, percent, triple

__all__ = ["decisions_table", "evaluation_tables"]


def evaluation_tables(report: EvaluationReport) -> tuple[Table, ...]:
    """The figures of every kind of score, and the published ones beside them."""
    figures = (_figures_table(report),) if report.evaluation.official else ()
    stated = (_stated_table(report),) if report.evaluation.stated else ()
    published = (_published_table(report),) if report.published else ()
    return figures + stated + published


def decisions_table(machine: MachineEvaluation) -> Table:
    """What the threshold makes of a machine's clips."""
    rows = [
        Row(
            {
                "at the threshold": domain,
                "precision": percent(one.precision),
                "recall": percent(one.recall),
                "F1": percent(one.f1),
                "false alarms": percent(one.false_alarm_rate),
            }
        )
        for domain, one in machine.decisions.items()
    ]
    return Table("decisions", machine.machine, (rows,), ("at the threshold",))


def _figures_table(report: EvaluationReport) -> Table:
    groups = []
    for machine in report.evaluation.measured:
        rows: list[Row] = []
        for kind, figures in machine.figures.items():
            source, target, pauc = map(percent, figures.metrics.official)
            decided = machine.decisions.get("all") if kind == FUSED else None
            rows.append(
                Row(
                    {
                        "machine": "" if rows else machine.machine,
                        "scores": kind,
                        "AUC source": source,
                        "AUC target": target,
                        "pAUC": pauc,
                        "hmean": percent(figures.metrics.hmean),
                        "sd": percent(figures.hmean_std),
                        "false alarms": percent(decided.false_alarm_rate) if decided else "",
                        "detected": percent(decided.recall) if decided else "",
                    },
                    strong=kind == FUSED,
                )
            )
        groups.append(rows)
    totals: list[Row] = []
    for kind, official in report.evaluation.official.items():
        cells = dict.fromkeys(groups[0][0].cells, "") | {
            "machine": "" if totals else "official score",
            "scores": kind,
            "hmean": percent(official.score),
            "sd": percent(official.std),
        }
        totals.append(Row(cells, strong=kind == FUSED))
    title = f"{report.bundle.manifest.name}, in percent"
    return Table("figures", title, (*groups, totals), ("machine", "scores"))


def _stated_table(report: EvaluationReport) -> Table:
    """What becomes of stated rates of windows: false alarms and hits, machine by machine."""
    evaluation = report.evaluation
    rows = [
        Row(
            {"machine": machine.machine, "takes": str(_takes(report, machine) or "")}
            | {
                f"stated {rate:.0%}": _alarms_and_hits(one.false_alarm_rate, one.recall)
                for rate, one in sorted(machine.stated.items())
            }
        )
        for machine in evaluation.machines
        if machine.stated
    ]
    mean = {
        f"stated {rate:.0%}": _alarms_and_hits(*both)
        for rate, both in sorted(evaluation.stated.items())
    }
    return Table(
        "stated",
        "False alarms/hits in percent of clips, at stated rates of normal windows",
        (rows, [Row({"machine": "mean", "takes": ""} | mean, strong=True)]),
        ("machine",),
    )


def _alarms_and_hits(false_alarms: float, hits: float) -> str:
    return f"{percent(false_alarms)}/{percent(hits)}"


def _takes(report: EvaluationReport, machine: MachineEvaluation) -> int | None:
    return report.bundle.manifest.machines[machine.machine].threshold.n_takes


def _published_table(report: EvaluationReport) -> Table:
    """The published rows of the machines at hand, then the published totals of all seven."""
    detailed = [system for system in report.published if system.machines]
    rows = [
        Row({"machine": name} | {one.name: triple(one.machines.get(name)) for one in detailed})
        for name in (machine.machine for machine in report.evaluation.machines)
        if any(name in system.machines for system in detailed)
    ]
    totals = [
        Row({"machine": "total, as stated"} | {s.name: f"{s.official:.2f}" for s in detailed}),
        Row({"machine": "from its rows"} | {s.name: f"{s.recomputed:.2f}" for s in detailed}),
    ]
    return Table(
        "published",
        "Published: AUC source/AUC target/pAUC, in percent",
        (rows, totals),
        ("machine",),
        f"Totals only: {totals_only(report.published)}.",
        CAVEAT,
    )
