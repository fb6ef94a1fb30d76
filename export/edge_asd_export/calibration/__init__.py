"""Fusion weights and thresholds."""
