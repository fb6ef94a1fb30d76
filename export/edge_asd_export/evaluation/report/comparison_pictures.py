"""The pictures of a comparison, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edge_asd_export.evaluation.compare import Average, Spread, SystemRow
from edge_asd_export.evaluation.evaluate import Official
from edge_asd_export.evaluation.report.comparison_tables import kind_label
from edge_asd_export.evaluation.report.content import ComparisonReport
from edge_asd_export.evaluation.report.drawing import INK, KINDS, STYLE

__all__ = ["draw_comparison"]

_ROW_INCHES, _PANEL_INCHES, _PANELS_ABREAST = 0.3, 2.1, 4
_STATED, _ROWS = "D", "|"  # markers of published figures
_PUBLISHED = "#CC3311"
_MARK: dict[str, Any] = {"markersize": 8, "fillstyle": "none", "markeredgewidth": 1.6}


@rc_context(STYLE)
def draw_comparison(report: ComparisonReport, folder: Path) -> None:
    """Draw the official scores, and the harmonic means of every machine."""
    _official(report).savefig(folder / "official.png")
    _machines(report).savefig(folder / "machines.png")


def _official(report: ComparisonReport) -> Figure:
    rows = report.rows
    figure = Figure(figsize=(8.6, 1.3 + _ROW_INCHES * len(rows)))
    axes = figure.subplots()
    _draw(axes, report, rows, [row.official for row in rows])
    marked = _mark_totals(axes, report)
    axes.set_xlabel("official score in percent ± sd")
    if marked:
        figure.legend(handles=marked, loc="outside upper right")
    return figure


def _machines(report: ComparisonReport) -> Figure:
    """One panel per machine; rows as in the picture of official scores."""
    rows, machines = report.comparison.rows, report.comparison.machines
    abreast = min(_PANELS_ABREAST, len(machines))
    n_lines = ceil(len(machines) / abreast)
    height = n_lines * (0.9 + _ROW_INCHES * len(rows)) + 0.2
    figure = Figure(figsize=(3.4 + _PANEL_INCHES * abreast, height))
    panels = figure.subplots(n_lines, abreast, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, machine in zip(panels, machines, strict=False):
        hmeans = [row.machine(machine.machine)["hmean"] for row in rows]
        _draw(axes, report, rows, hmeans)
        axes.set_title(machine.machine, fontsize=10.5, loc="left", parse_math=False)
        for place, row in enumerate(rows):
            for system in report.beside.named(row.kind.system):
                _mark(axes, place, system.recomputed_over([machine.machine]), _ROWS)
    for axes in panels[len(machines) :]:
        axes.set_visible(False)
    figure.supxlabel("harmonic mean of AUC source, AUC target and pAUC, ± sd", fontsize=9.5)
    if any(system.machines for system in report.beside.systems):
        handle = _handle(_ROWS, "published, see the note")
        figure.legend(handles=[handle], loc="outside upper right")
    return figure


def _draw(
    axes: Axes,
    report: ComparisonReport,
    rows: Sequence[SystemRow | Average],
    figures: Sequence[Official | Spread],
) -> None:
    """Figures of rows with one standard deviation, the first on top, and a line at chance.

    A system has one colour, in whichever bundle it is.
    """
    systems = list(dict.fromkeys(row.kind.system for row in report.comparison.rows))
    axes.grid(axis="x")
    axes.axvline(50, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    for place, (row, figure) in enumerate(zip(rows, figures, strict=True)):
        is_mean = isinstance(row, Average)
        axes.errorbar(
            100 * figure.score,
            place,
            xerr=100 * (figure.std or 0.0),
            fmt="s" if is_mean else "o",
            color=KINDS[systems.index(row.kind.system) % len(KINDS)],
            markersize=7 if is_mean else 6,
            elinewidth=1.6,
            capsize=3,
        )
    labels = [_label(report, number, row) for number, row in enumerate(rows, start=1)]
    axes.set_yticks(range(len(rows)), labels, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _label(report: ComparisonReport, number: int, row: SystemRow | Average) -> str:
    label = kind_label(row.kind)
    if isinstance(row, Average):
        return f"{label}, mean of {row.n_bundles}"
    return f"{number}  {label}" + (f", {row.bundle}" if len(report.bundles) > 1 else "")


def _mark_totals(axes: Axes, report: ComparisonReport) -> list[Line2D]:
    """Published totals over the points; handles for a legend of the marks that are used."""
    names = [machine.machine for machine in report.comparison.machines]
    used = {}
    for place, row in enumerate(report.rows):
        for system in report.beside.named(row.kind.system):
            if report.beside.all_machines:
                _mark(axes, place, system.official, _STATED)
                used[_STATED] = "published, as stated"
            if (value := system.recomputed_over(names)) is not None:
                _mark(axes, place, value, _ROWS)
                used[_ROWS] = "published, from its rows; see the note"
    return [_handle(marker, label) for marker, label in used.items()]


def _mark(axes: Axes, place: int, value: float | None, marker: str) -> None:
    if value is not None:
        axes.plot(value, place, marker, color=_PUBLISHED, zorder=3, **_MARK)


def _handle(marker: str, label: str) -> Line2D:
    return Line2D([], [], marker=marker, color=_PUBLISHED, linestyle="none", label=label, **_MARK)
