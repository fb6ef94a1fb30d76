"""From a window of sound to its anomaly score."""
