"""The alarm: from scores of windows to events."""
