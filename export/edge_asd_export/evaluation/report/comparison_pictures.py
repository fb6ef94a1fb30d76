"""The pictures of a comparison, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Point:
    """A figure with one standard deviation, on a row of its own."""

    label: str
    system: str
    figure: Official | Spread
    color: str
    is_mean: bool


@rc_context(STYLE)
def draw_comparison(report: ComparisonReport, folder: Path) -> None:
    """Draw the official scores, and the harmonic means of every machine."""
    _official(report).savefig(folder / "official.png")
    _machines(report).savefig(folder / "machines.png")


def _official(report: ComparisonReport) -> Figure:
    points = _points(report, report.rows, [row.official for row in report.rows])
    figure = Figure(figsize=(8.6, 1.3 + _ROW_INCHES * len(points)))
    axes = figure.subplots()
    _draw(axes, points)
    marked = _mark_totals(axes, points, report)
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
        points = _points(report, rows, hmeans)
        _draw(axes, points)
        axes.set_title(machine.machine, fontsize=10.5, loc="left", parse_math=False)
        for place, point in enumerate(points):
            for system in report.beside.named(point.system):
                value = system.recomputed_over([machine.machine])
                _mark(axes, place, value, _ROWS)
    for axes in panels[len(machines) :]:
        axes.set_visible(False)
    figure.supxlabel("harmonic mean of AUC source, AUC target and pAUC, ± sd", fontsize=9.5)
    if any(system.machines for system in report.beside.systems):
        handle = _handle(_ROWS, "published, see the note")
        figure.legend(handles=[handle], loc="outside upper right")
    return figure


def _points(
    report: ComparisonReport,
    rows: Sequence[SystemRow | Average],
    figures: Sequence[Official | Spread],
) -> list[_Point]:
    """Points of some rows; a system has one colour, in whichever bundle it is."""
    systems = list(dict.fromkeys(row.kind.system for row in report.comparison.rows))
    points = []
    for number, (row, figure) in enumerate(zip(rows, figures, strict=True), start=1):
        label = kind_label(row.kind)
        if isinstance(row, Average):
            label = f"{label}, mean of {row.n_bundles}"
        else:
            label = f"{number}  {label}" + (f", {row.bundle}" if len(report.bundles) > 1 else "")
        color = KINDS[systems.index(row.kind.system) % len(KINDS)]
        points.append(_Point(label, row.kind.system, figure, color, isinstance(row, Average)))
    return points


def _draw(axes: Axes, points: list[_Point]) -> None:
    """Points with error bars, the first on top, and a line at chance."""
    axes.grid(axis="x")
    axes.axvline(50, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    for place, point in enumerate(points):
        axes.errorbar(
            100 * point.figure.score,
            place,
            xerr=100 * (point.figure.std or 0.0),
            fmt="s" if point.is_mean else "o",
            color=point.color,
            markersize=7 if point.is_mean else 6,
            elinewidth=1.6,
            capsize=3,
        )
    axes.set_yticks(range(len(points)), [point.label for point in points], parse_math=False)
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _mark_totals(axes: Axes, points: list[_Point], report: ComparisonReport) -> list[Line2D]:
    """Published totals over the points; handles for a legend of the marks that are used."""
    names = [machine.machine for machine in report.comparison.machines]
    used = {}
    for place, point in enumerate(points):
        for system in report.beside.named(point.system):
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
