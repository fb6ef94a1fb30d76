"""The log of a training: a table for programs, a picture for people."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["EpochLog", "append_log", "draw_loss_curve"]

_FIELDS = ("epoch", "loss", "learning_rate", "seconds")


@dataclass(frozen=True, slots=True)
class EpochLog:
    """One row of ``log.csv``."""

    epoch: int  # 1 is the first
    loss: float  # mean over the epoch
    learning_rate: float  # at the epoch's end
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)  # of the learner, at the end


def append_log(path: Path, log: EpochLog) -> None:
    """Add one row; rows of epochs that a resumed run repeats are replaced."""
    rows: list[list[str]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) < log.epoch]
    rows.append(
        [
            str(log.epoch),
            f"{log.loss:.6f}",
            f"{log.learning_rate:g}",
            f"{log.seconds:.2f}",
            *(f"{value:.6g}" for value in log.figures.values()),
        ]
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([(*_FIELDS, *log.figures), *rows])


def draw_loss_curve(log: Path, picture: Path) -> None:
    """Draw the loss and what else was logged; does nothing before the first epoch's end."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not log.is_file():
        return
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(epochs, [float(row["loss"]) for row in rows], color="tab:blue", marker=".")
    axes.set(xlabel="epoch", ylabel="mean training loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    others = [name for name in rows[0] if name not in _FIELDS]
    if others:
        right = axes.twinx()
        for name, style in zip(others, (":", "--", "-.") * len(others), strict=False):
            values = [float(row[name]) for row in rows]
            right.plot(epochs, values, color="tab:gray", linestyle=style, label=name)
        right.legend(loc="upper right")
    figure.savefig(picture, dpi=120)
