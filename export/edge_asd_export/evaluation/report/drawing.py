"""What all pictures of reports have in common."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "KINDS", "save", "style"]

# Paul Tol's "bright" palette: told apart by colour-blind readers and in print.
KINDS = ("#33415C", "#66CCEE", "#CCBB44", "#228833", "#AA3377", "#BBBBBB")
INK, FAINT = "#222222", "#D8DCE2"

_DPI = 144


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    figure.savefig(path, dpi=_DPI, facecolor="white")


def style(axes: Axes) -> None:
    """Quiet axes: no box, and no tick in front of the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9AA3AF")
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.set_axisbelow(True)
