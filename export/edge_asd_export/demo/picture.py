"""The picture of a demo: score and threshold over time, the planted fault and the alarms."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from edge_asd_export.demo.outcome import Outcome
from edge_asd_export.evaluation.report.drawing import INK, KINDS, STYLE

__all__ = ["draw_outcome"]

_FAULT, _ALARM = "#EE7733", "#CC3311"  # Paul Tol's "vibrant" palette
_ALARM_FLOOR = 0.93  # of the height: alarms are a bar above the scores


@rc_context(STYLE)
def draw_outcome(outcome: Outcome, path: Path) -> None:
    """Write the picture of an outcome as PNG."""
    planted = outcome.planted
    figure = Figure(figsize=(9, 3.8))
    axes = figure.subplots()
    axes.axvspan(
        planted.normal_s, planted.end_s, color=_FAULT, alpha=0.18, lw=0, label="planted fault"
    )
    times = [time_s for time_s, _ in outcome.scores]
    values = [score for _, score in outcome.scores]
    axes.plot(times, values, color=KINDS[0], lw=1.6, label="score of each window")
    axes.axhline(outcome.threshold, color=INK, lw=1.1, ls="--", label="threshold")
    end_s = 2 * planted.normal_s + planted.fault_s
    for alarm in outcome.alarms:
        until_s = end_s if alarm.cleared_s is None else alarm.cleared_s
        axes.axvspan(alarm.raised_s, until_s, ymin=_ALARM_FLOOR, color=_ALARM, lw=0, label="alarm")
    highest = max([*values, outcome.threshold if values else 1.0])
    axes.set(
        xlabel="seconds of the recording (end of the window)",
        ylabel="anomaly score",
        xlim=(0, end_s),
        ylim=(0, highest / _ALARM_FLOOR * 1.05),
    )
    axes.set_title(str(planted), loc="left", fontsize=11, color=INK)
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))  # several alarms, one entry
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=4)
    figure.savefig(path)
