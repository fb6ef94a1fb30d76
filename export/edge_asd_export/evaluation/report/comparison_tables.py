"""The tables of a comparison, in percent as the challenge prints them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from edge_asd_export.evaluation.compare import (
    AblationRow,
    Average,
    Difference,
    Kind,
    Spread,
    SystemRow,
)
from edge_asd_export.evaluation.evaluate import Official
from edge_asd_export.evaluation.published import PublishedSystem
from edge_asd_export.evaluation.report.content import ComparisonReport
from edge_asd_export.table import Column, Row, Table, percent, triple

__all__ = ["comparison_tables", "kind_label"]

_NOTHING = "–"
_IDENTITY = (
    Column("#"),
    Column("system", is_text=True),
    Column("networks", is_text=True),
    Column("precision", is_text=True),
)


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

    def line(row: SystemRow | Average) -> Row:
        if isinstance(row, Average):
            bundle, lag = f"mean of {row.n_bundles}", ""
        else:
            bundle = row.bundle
            lag = "best" if row is best else _difference(Difference.of(row, best))
        cells = (
            *_identity(report, row),
            bundle,
            _spread(row.official),
            *([lag] if several else []),
        )
        published = _published_totals(report, row.kind.system)
        return Row((*cells, *published), strong=isinstance(row, Average))

    groups = groupby(report.rows, key=lambda row: isinstance(row, Average))
    note = (
        f"Harmonic mean of AUC source, AUC target and pAUC over {n_machines} "
        f"machine{'s' if n_machines > 1 else ''}, in percent. sd: bootstrap over the test clips"
        + (", of differences from the same draws." if several else ".")
        + (" Of a mean: over bundles." if len(report.rows) > len(rows) else "")
    )
    return Table(
        "official",
        "Official score of each system",
        (
            *_IDENTITY,
            Column("bundle", is_text=True),
            Column("official ± sd"),
            *([Column("minus best ± sd")] if several else []),
            *_published_columns(report),
        ),
        tuple(tuple(map(line, group)) for _, group in groups),
        note,
        _caveat(report),
    )


def _machine_table(report: ComparisonReport) -> Table:
    """What the report of the systems calls its third table."""
    shown = any(system.machines for system in report.beside.systems)

    def line(row: SystemRow | Average, machine: str, name: str) -> Row:
        published = [_published_triple(report, row.kind.system, machine)] if shown else []
        cells = map(_spread, row.machine(machine).values())
        is_mean = isinstance(row, Average)
        return Row((name, *_identity(report, row), *cells, *published), strong=is_mean)

    return Table(
        "machines",
        "AUC source, AUC target and pAUC of each machine",
        (
            Column("machine", is_text=True),
            *_IDENTITY,
            Column("AUC source"),
            Column("AUC target"),
            Column("pAUC"),
            Column("hmean ± sd"),
            *([Column("published AUC s/AUC t/pAUC")] if shown else []),
        ),
        tuple(
            tuple(line(row, name, "" if i else name) for i, row in enumerate(report.rows))
            for name in (machine.machine for machine in report.comparison.machines)
        ),
        "In percent. hmean: harmonic mean of the three; sd: bootstrap over the test clips"
        + (", of a mean over bundles" if len(report.rows) > len(report.comparison.rows) else "")
        + ". Numbers as in the table of official scores.",
        _caveat(report) if shown else None,
    )


def _ablation_table(report: ComparisonReport) -> Table:
    """Models down, microphones across."""
    rows = report.comparison.ablations
    microphones = list(dict.fromkeys(row.ablation.microphones for row in rows))
    lines: dict[tuple[str, str, str], dict[str, AblationRow]] = {}
    for row in rows:
        key = (row.ablation.system, row.bundle, row.ablation.models)
        lines.setdefault(key, {})[row.ablation.microphones] = row
    groups: dict[tuple[str, str], list[Row]] = {}
    for (system, bundle, models), by_microphone in lines.items():
        group = groups.setdefault((system, bundle), [])
        scores = (
            _spread(by_microphone[name].official) if name in by_microphone else _NOTHING
            for name in microphones
        )
        names = ("", "") if group else (system, bundle)
        group.append(Row((*names, models, *scores)))
    return Table(
        "ablations",
        "Official score of some models and microphones alone",
        (
            Column("system", is_text=True),
            Column("bundle", is_text=True),
            Column("models", is_text=True),
            *(Column(f"{name} ± sd") for name in microphones),
        ),
        tuple(tuple(group) for group in groups.values()),
        "In percent. The weights are the bundle's, of what is left scaled to sum to one; "
        "nothing is fitted again. sd: bootstrap over the test clips.",
    )


def _difference_table(report: ComparisonReport) -> Table:
    """Every system against every other; columns are numbered as in the official table."""
    rows = report.comparison.rows
    return Table(
        "differences",
        "Official score of the row minus that of the column",
        (
            Column("#"),
            Column("system", is_text=True),
            *(Column(str(number)) for number in range(1, len(rows) + 1)),
        ),
        (
            tuple(
                Row(
                    (
                        str(number),
                        row.kind.system,
                        *(
                            _NOTHING if row is other else _difference(Difference.of(row, other))
                            for other in rows
                        ),
                    )
                )
                for number, row in enumerate(rows, start=1)
            ),
        ),
        "In points of percent ± sd of a paired bootstrap: both scores come from the same draws "
        "of test clips. A difference below two sd may be the choice of clips.",
    )


def _caveat(report: ComparisonReport) -> str | None:
    return report.beside.note if report.beside.systems else None


def _published_columns(report: ComparisonReport) -> list[Column]:
    if not report.beside.systems:
        return []
    stated = [Column("published, as stated")] if report.beside.all_machines else []
    return [*stated, Column("published, from its rows")]


def _published_totals(report: ComparisonReport, system: str) -> list[str]:
    if not report.beside.systems:
        return []
    published = report.beside.named(system)
    names = [machine.machine for machine in report.comparison.machines]
    stated = [_listed(one.official for one in published)] if report.beside.all_machines else []
    return [*stated, _listed(one.recomputed_over(names) for one in published)]


def _published_triple(report: ComparisonReport, system: str, machine: str) -> str:
    tables: Iterable[PublishedSystem] = (s for s in report.beside.named(system) if s.machines)
    return triple(next((one.machines.get(machine) for one in tables), None))


def _listed(values: Iterable[float | None]) -> str:
    """Figures of several publications; a total can stand in more than one."""
    return ", ".join(f"{value:.2f}" for value in values if value is not None) or _NOTHING


def _identity(report: ComparisonReport, row: SystemRow | Average) -> tuple[str, ...]:
    """Cells of `_IDENTITY`; a mean has the numbers of its rows."""
    of = row.rows if isinstance(row, Average) else (row,)
    numbers = [str(n) for n, one in enumerate(report.comparison.rows, start=1) if one in of]
    kind = row.kind
    return ", ".join(numbers), kind.system, ", ".join(kind.networks), kind.precision


def _spread(figure: Official | Spread) -> str:
    std = "" if figure.std is None else f" ± {percent(figure.std)}"
    return percent(figure.score) + std


def _difference(difference: Difference) -> str:
    sign = "−" if round(100 * difference.value, 2) < 0 else "+"
    return f"{sign}{percent(abs(difference.value))} ± {percent(difference.std)}"
