"""The pictures of an evaluation, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from edge_asd_export.evaluation.evaluate import FUSED, MachineEvaluation, ScoredClips
from edge_asd_export.evaluation.metrics import MAX_FPR
from edge_asd_export.evaluation.report.content import EvaluationReport
from edge_asd_export.evaluation.report.drawing import FAINT, INK, KINDS, STYLE

__all__ = ["draw_evaluation"]

# Of the same palette as KINDS.
_NORMAL, _ANOMALY = "#4477AA", "#EE6677"
_SOURCE, _TARGET, _BOTH = "#228833", "#AA3377", "#444444"

_MAX_BINS = 36

_Float = NDArray[np.float64]
_Bool = NDArray[np.bool_]


@rc_context(STYLE)
def draw_evaluation(report: EvaluationReport, folder: Path) -> None:
    """Draw the overview, and the score distributions and ROC curves of each machine."""
    for scored, machine in zip(report.bundle.machines, report.evaluation.machines, strict=True):
        _distribution(scored).savefig(folder / f"distribution_{machine.machine}.png")
        if scored.is_anomaly is not None and scored.is_target is not None and not machine.skipped:
            figure = _roc(scored.scores[FUSED], scored.is_anomaly, scored.is_target, machine)
            figure.savefig(folder / f"roc_{machine.machine}.png")
    if report.evaluation.measured:
        _overview(report).savefig(folder / "overview.png")


def _distribution(scored: ScoredClips) -> Figure:
    """Histograms of the fused score: one panel per domain, or one of all anonymous clips."""
    values = scored.scores[FUSED]
    groups: dict[str, dict[str, _Float]]
    if scored.is_anomaly is None or scored.is_target is None:
        groups = {"all clips, no labels": {"unknown": values}}
    else:
        groups = {
            domain: {
                "normal": values[mask & ~scored.is_anomaly],
                "anomaly": values[mask & scored.is_anomaly],
            }
            for domain, mask in (("source", ~scored.is_target), ("target", scored.is_target))
        }
    figure = Figure(figsize=(7.8, 3.4))
    panels = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    bins = np.histogram_bin_edges(values, bins=min(_MAX_BINS, max(8, values.size // 4)))
    for axes, (title, parts) in zip(panels, groups.items(), strict=True):
        _histograms(axes, parts, bins)
        if scored.threshold is not None:
            axes.axvline(scored.threshold, color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.annotate(
                "threshold",
                (scored.threshold, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, -2),
                textcoords="offset points",
                va="top",
                fontsize=8.5,
            )
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set_xlabel("anomaly score (fused)")
    panels[0].set_ylabel("clips")
    figure.suptitle(scored.machine, fontsize=12, fontweight="bold", parse_math=False)
    return figure


def _histograms(axes: Axes, parts: Mapping[str, _Float], bins: _Float) -> None:
    """Filled steps, and below them one tick per clip: few clips make rough histograms."""
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    for row, (label, values) in enumerate(parts.items(), start=1):
        color = {"normal": _NORMAL, "anomaly": _ANOMALY}.get(label, "#777777")
        counts, _ = np.histogram(values, bins)
        axes.stairs(counts, bins, fill=True, color=color, alpha=0.35)
        axes.stairs(counts, bins, color=color, linewidth=1.6, label=f"{values.size} {label}")
        axes.plot(
            values,
            np.full(values.size, -0.035 * row),
            "|",
            color=color,
            markersize=6,
            alpha=0.8,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
    axes.tick_params(axis="x", length=0, pad=4 + 8 * len(parts))
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.98),
        ncols=len(parts),
        borderaxespad=0.0,
        handlelength=1.4,
    )


def _roc(values: _Float, anomaly: _Bool, target: _Bool, machine: MachineEvaluation) -> Figure:
    """ROC curves of the fused score behind the official AUC values, and the area of the pAUC."""
    metrics = machine.figures[FUSED].metrics
    figure = Figure(figsize=(4.2, 4.2))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
    axes.axvline(MAX_FPR, color=FAINT, linewidth=1.0)
    for label, clips, color in (
        (f"source: AUC {metrics.auc_source:.3f}", anomaly | ~target, _SOURCE),
        (f"target: AUC {metrics.auc_target:.3f}", anomaly | target, _TARGET),
    ):
        fpr, tpr, _ = roc_curve(anomaly[clips], values[clips])
        axes.plot(fpr, tpr, color=color, linewidth=1.8, label=label)
    fpr, tpr, _ = roc_curve(anomaly, values, drop_intermediate=False)
    label = f"all clips: pAUC {metrics.pauc:.3f}"
    axes.plot(fpr, tpr, color=_BOTH, linewidth=1.2, linestyle=(0, (4, 2)), label=label)
    inside = np.searchsorted(fpr, MAX_FPR, side="right")  # as scikit-learn cuts the curve
    cut = np.interp(MAX_FPR, fpr[inside - 1 : inside + 1], tpr[inside - 1 : inside + 1])
    edge, height = np.append(fpr[:inside], MAX_FPR), np.append(tpr[:inside], cut)
    axes.fill_between(edge, height, color=_BOTH, alpha=0.22, linewidth=0)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.set_title(machine.machine, fontsize=12, fontweight="bold", parse_math=False)
    axes.legend(loc="lower right")
    return figure


def _overview(report: EvaluationReport) -> Figure:
    """Harmonic means of every kind of score, per machine and official, with one sd."""
    official = report.evaluation.official
    machines = report.evaluation.measured
    names = [machine.machine for machine in machines] + ["official score"]
    place = np.arange(len(names), dtype=np.float64)
    place[-1] += 0.4
    figure = Figure(figsize=(max(6.0, 1.5 + 1.25 * len(names)), 3.8))
    axes = figure.subplots()
    axes.grid(axis="y")
    axes.axhline(0.5, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.annotate(
        "chance",
        (1.0, 0.5),
        xycoords=("axes fraction", "data"),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )
    width = 0.8 / len(official)
    for column, (kind, total) in enumerate(official.items()):
        figures = [machine.figures[kind] for machine in machines]
        axes.bar(
            place + (column - (len(official) - 1) / 2) * width,
            [*(one.metrics.hmean for one in figures), total.score],
            width * 0.92,
            yerr=[*(one.hmean_std for one in figures), total.std],
            color=KINDS[column % len(KINDS)],
            error_kw={"ecolor": "#555555", "elinewidth": 1.0, "capsize": 2.0},
            label=kind,
        )
    axes.set_xticks(place, names, parse_math=False)
    axes.set(ylim=(0, 1), ylabel="harmonic mean ± sd")
    figure.legend(loc="outside upper center", ncols=min(6, len(official)))
    return figure
