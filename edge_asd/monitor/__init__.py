"""The loop that joins source, detector, alarm and outputs, and one run of it."""
