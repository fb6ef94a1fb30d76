"""Where tests find what is not beside them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # recordings and fixtures; tests on them skip without
