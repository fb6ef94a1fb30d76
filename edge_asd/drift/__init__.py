"""How normal changes over weeks."""
