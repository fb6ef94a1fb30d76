"""``python -m edge_asd`` is ``edge-asd``."""

from __future__ import annotations

from edge_asd.cli import app

if __name__ == "__main__":
    app(prog_name="edge-asd")
