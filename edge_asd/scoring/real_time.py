"""How much of the time scoring may take, and how far apart windows may become."""

from __future__ import annotations

__all__ = ["MAX_LOAD", "WIDEST_HOP_WINDOWS"]

MAX_LOAD = 0.8  # share of the hop; the rest is left to capture, outputs and hiccups
WIDEST_HOP_WINDOWS = 4  # the hop that "auto" may widen to; a fault of a minute is still heard
