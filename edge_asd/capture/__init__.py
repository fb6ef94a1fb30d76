"""Sound cards: which one is meant, and audio from it for months."""
