"""The tables of a comparison, in percent as the challenge prints them."""

from __future__ import annotations

from edge_asd_export.evaluation.compare import Average, Difference, Kind, Spread, SystemRow
from edge_asd_export.evaluation.evaluate import Official
from edge_asd_export.evaluation.report.content import ComparisonReport
from edge_asd_export.table import Row, Table, percent, triple

__all__ = ["comparison_tables", "kind_label"]

_NOTHING = "–"
_TEXTS = ("machine", "system", "networks", "precision", "bundle", "models")


def comparison_tables(report: ComparisonReport, *, most_compared: int = 9) -> tuple[Table, ...]:
    """The tables that have something to show, those of the systems' own report first.

    Parameters
    ----------
    most_compared
        Systems in the square of differences; with more, there is none.
    """
    tables = [_official_table(report), _machine_table(report)]
    if report.comparison.ablations:
        tables.append(_ablation_table(report))
    if 1 < len(report.comparison.rows) <= most_compared:
        tables.append(_difference_table(report))
    return tuple(tables)


def kind_label(kind: Kind) -> str:
    """The system with what was trained and how it is stored."""
    return f"{kind.system} ({', '.join(kind.networks)}; {kind.precision})"


def _official_table(report: ComparisonReport) -> Table:
    """What the report of the systems calls its second table."""
    rows, best = report.comparison.rows, report.comparison.best
    n_machines, several = len(report.comparison.machines), len(rows) > 1
    single: list[Row] = []
    means: list[Row] = []
    for row in report.rows:
        if isinstance(row, Average):
            bundle, lag = f"mean of {row.n_bundles}", ""
        else:
            bundle = row.bundle
            lag = "best" if row is best else _difference(Difference.of(row, best))
        cells = {
            **_identity(report, row),
            "bundle": bundle,
            "official ± sd": _spread(row.official),
            **({"minus best ± sd": lag} if several else {}),
            **_published_totals(report, row.kind.system),
        }
        is_mean = isinstance(row, Average)
        (means if is_mean else single).append(Row(cells, strong=is_mean))
    note = (
        f"Harmonic mean of AUC source, AUC target and pAUC over {n_machines} "
        f"machine{'s' if n_machines > 1 else ''}, in percent. sd: bootstrap over the test clips"
        + (", of differences from the same draws." if several else ".")
        + (" Of a mean: over bundles." if means else "")
    )
    groups = [single, means] if means else [single]
    title = "Official score of each system"
    return Table("official", title, groups, _TEXTS, note, _caveat(report))


def _machine_table(report: ComparisonReport) -> Table:
    """What the report of the systems calls its third table."""
    shown = any(system.machines for system in report.beside.systems)
    groups = []
    for name in (machine.machine for machine in report.comparison.machines):
        rows: list[Row] = []
        for row in report.rows:
            spreads = row.machine(name)
            cells = {
                "machine": "" if rows else name,
                **_identity(report, row),
                "AUC source": _spread(spreads["auc_source"]),
                "AUC target": _spread(spreads["auc_target"]),
                "pAUC": _spread(spreads["pauc"]),
                "hmean ± sd": _spread(spreads["hmean"]),
            }
            if shown:
                published = _published_triple(report, row.kind.system, name)
                cells["published AUC s/AUC t/pAUC"] = published
            rows.append(Row(cells, strong=isinstance(row, Average)))
        groups.append(rows)
    return Table(
        "machines",
        "AUC source, AUC target and pAUC of each machine",
        groups,
        _TEXTS,
        "In percent. hmean: harmonic mean of the three; sd: bootstrap over the test clips"
        + (", of a mean over bundles" if len(report.rows) > len(report.comparison.rows) else "")
        + ". Numbers as in the table of official scores.",
        _caveat(report) if shown else None,
    )


def _ablation_table(report: ComparisonReport) -> Table:
    """Models down, microphones across."""
    rows = report.comparison.ablations
    nothing = {f"{row.ablation.microphones} ± sd": _NOTHING for row in rows}
    groups: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        group = groups.setdefault((row.ablation.system, row.bundle), {})
        names = ("", "") if group else (row.ablation.system, row.bundle)
        models = row.ablation.models
        head = dict(zip(("system", "bundle", "models"), (*names, models), strict=True))
        cells = group.setdefault(models, head | nothing)
        cells[f"{row.ablation.microphones} ± sd"] = _spread(row.official)
    return Table(
        "ablations",
        "Official score of some models and microphones alone",
        [[Row(cells) for cells in group.values()] for group in groups.values()],
        _TEXTS,
        "In percent. The weights are the bundle's, of what is left scaled to sum to one; "
        "nothing is fitted again. sd: bootstrap over the test clips.",
    )


def _difference_table(report: ComparisonReport) -> Table:
    """Every system against every other; columns are numbered as in the official table."""
    rows = report.comparison.rows
    lines = []
    for number, row in enumerate(rows, start=1):
        differences = {
            str(n): _NOTHING if row is other else _difference(Difference.of(row, other))
            for n, other in enumerate(rows, start=1)
        }
        lines.append(Row({"#": str(number), "system": row.kind.system} | differences))
    return Table(
        "differences",
        "Official score of the row minus that of the column",
        [lines],
        _TEXTS,
        "In points of percent ± sd of a paired bootstrap: both scores come from the same draws "
        "of test clips. A difference below two sd may be the choice of clips.",
    )


def _caveat(report: ComparisonReport) -> str | None:
    return report.beside.note if report.beside.systems else None


def _identity(report: ComparisonReport, row: SystemRow | Average) -> dict[str, str]:
    """What a row is of; a mean has the numbers of its rows."""
    of = row.rows if isinstance(row, Average) else (row,)
    numbers = [str(n) for n, one in enumerate(report.comparison.rows, start=1) if one in of]
    return {
        "#": ", ".join(numbers),
        "system": row.kind.system,
        "networks": ", ".join(row.kind.networks),
        "precision": row.kind.precision,
    }


def _published_totals(report: ComparisonReport, system: str) -> dict[str, str]:
    """Totals of every publication; a total can stand in more than one."""
    stated, recomputed = report.published_totals(system)
    totals = {"published, as stated": stated} if report.beside.all_machines else {}
    if report.beside.systems:
        totals["published, from its rows"] = recomputed
    return {
        heading: ", ".join(f"{value:.2f}" for value in values) or _NOTHING
        for heading, values in totals.items()
    }


def _published_triple(report: ComparisonReport, system: str, machine: str) -> str:
    tables = (one for one in report.beside.named(system) if one.machines)
    return triple(next((one.machines.get(machine) for one in tables), None))


def _spread(figure: Official | Spread) -> str:
    std = "" if figure.std is None else f" ± {percent(figure.std)}"
    return percent(figure.score) + std


def _difference(difference: Difference) -> str:
    sign = "−" if round(100 * difference.value, 2) < 0 else "+"
    return f"{sign}{percent(abs(difference.value))} ± {percent(difference.std)}"
