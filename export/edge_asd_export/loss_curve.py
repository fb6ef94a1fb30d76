"""The picture beside a training log."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["draw_loss_curve"]


def draw_loss_curve(log: Path, picture: Path) -> None:
    """Draw loss and logit scale over epochs; does nothing before the first epoch's end."""
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
    scale = axes.twinx()
    scale.plot(epochs, [float(row["scale"]) for row in rows], color="tab:gray", linestyle=":")
    scale.set_ylabel("scale of the cosine logits", color="tab:gray")
    figure.savefig(picture, dpi=120)
