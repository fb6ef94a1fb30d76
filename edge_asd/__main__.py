"""``python -m edge_asd`` is ``edge-asd``."""

from __future__ import annotations

from edge_asd.cli import main

if __name__ == "__main__":
    main()
