"""How normal changes over weeks, and what comes of what was promised."""
