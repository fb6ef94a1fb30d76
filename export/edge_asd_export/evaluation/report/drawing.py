"""What all pictures of reports have in common."""

from __future__ import annotations

from typing import Any

__all__ = ["FAINT", "INK", "KINDS", "STYLE"]

# Paul Tol's "bright" palette: told apart by colour-blind readers and in print.
KINDS = ("#33415C", "#66CCEE", "#CCBB44", "#228833", "#AA3377", "#BBBBBB")
INK, FAINT = "#222222", "#D8DCE2"

# For matplotlib: quiet axes, without a box, and no tick in front of the data.
STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9AA3AF",
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "grid.color": FAINT,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.dpi": 144,
    "savefig.facecolor": "white",
    **{
        f"{axis}tick.{key}": value
        for axis in "xy"
        for key, value in (("color", INK), ("labelsize", 9), ("major.size", 3))
    },
}
